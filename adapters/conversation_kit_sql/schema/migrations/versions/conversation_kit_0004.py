"""Answers to requests with an idempotency key, and what is used of limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from conversation_kit_sql.schema.migrations.revising import characters, downgrading, long_text, upgrading

revision = "conversation_kit_0004"
down_revision = "conversation_kit_0003"
branch_labels = None
depends_on = None


def _add(prefix: str, schema: str | None) -> None:
    op.create_table(
        f"{prefix}answer",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("mark", characters(64), nullable=False),
        sa.Column("digest", characters(64), nullable=False),
        sa.Column("result", long_text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "mark"),
        schema=schema,
    )
    op.create_index(f"{prefix}answer_expires", f"{prefix}answer", ["application_id", "expires_at"], schema=schema)
    op.create_table(
        f"{prefix}meter",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("mark", characters(64), nullable=False),
        sa.Column("level", sa.Double(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "mark"),
        schema=schema,
        sqlite_with_rowid=False,
    )
    op.create_index(f"{prefix}meter_expires", f"{prefix}meter", ["application_id", "expires_at"], schema=schema)


def _drop(prefix: str, schema: str | None) -> None:
    op.drop_table(f"{prefix}meter", schema=schema)
    op.drop_table(f"{prefix}answer", schema=schema)


upgrade = upgrading(down_revision, revision, _add)
downgrade = downgrading(down_revision, revision, _drop)
