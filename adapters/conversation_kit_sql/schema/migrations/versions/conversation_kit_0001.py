"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from conversation_kit_sql.schema.migrations.revising import characters, downgrading, long_text, upgrading

revision = "conversation_kit_0001"
down_revision = None
branch_labels = ("conversation_kit",)
depends_on = None


def _make(prefix: str, schema: str | None) -> None:
    op.create_table(
        f"{prefix}conversation",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("id", characters(64), nullable=False),
        sa.Column("name", characters(255), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("display_name", characters(255), nullable=True),
        sa.Column("image_url", characters(2048), nullable=True),
        sa.Column("numbers", long_text(), nullable=False),
        sa.Column("properties", long_text(), nullable=False),
        sa.Column("created_by", characters(64), nullable=True),
        sa.Column("sequence_number", sa.BigInteger(), nullable=False),
        sa.Column("active_members", sa.BigInteger(), nullable=False),
        sa.Column("joined_members", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=True),
        sa.Column("destroyed", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("application_id", "id"),
        sa.UniqueConstraint("application_id", "name", name=f"{prefix}conversation_name"),
        schema=schema,
    )
    op.create_index(f"{prefix}conversation_created", f"{prefix}conversation", ["application_id", "created", "id"], schema=schema)
    op.create_index(f"{prefix}conversation_expires", f"{prefix}conversation", ["application_id", "expires_at"], schema=schema)
    op.create_table(
        f"{prefix}user",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("id", characters(64), nullable=False),
        sa.Column("name", characters(255), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("display_name", characters(255), nullable=True),
        sa.Column("image_url", characters(2048), nullable=True),
        sa.Column("channels", long_text(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("application_id", "id"),
        sa.UniqueConstraint("application_id", "name", name=f"{prefix}user_name"),
        schema=schema,
    )
    op.create_index(f"{prefix}user_created", f"{prefix}user", ["application_id", "created", "id"], schema=schema)
    op.create_table(
        f"{prefix}member",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("conversation_id", characters(64), nullable=False),
        sa.Column("id", characters(64), nullable=False),
        sa.Column("user_id", characters(64), nullable=False),
        sa.Column("user_name", characters(255), nullable=False),
        sa.Column("state", characters(16), nullable=False),
        sa.Column("channel", long_text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("initiator", long_text(), nullable=False),
        sa.Column("media", long_text(), nullable=True),
        sa.Column("invited_by", characters(64), nullable=True),
        sa.Column("invited", sa.BigInteger(), nullable=True),
        sa.Column("joined", sa.BigInteger(), nullable=True),
        sa.Column("left", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("application_id", "conversation_id", "id"),
        schema=schema,
    )
    op.create_index(f"{prefix}member_user", f"{prefix}member", ["application_id", "user_id", "state"], schema=schema)
    op.create_index(f"{prefix}member_conversation_user", f"{prefix}member", ["application_id", "conversation_id", "user_id"], schema=schema)
    op.create_index(f"{prefix}member_created", f"{prefix}member", ["application_id", "conversation_id", "created", "id"], schema=schema)
    op.create_table(
        f"{prefix}event",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("conversation_id", characters(64), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("data", long_text(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "conversation_id", "id"),
        schema=schema,
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{prefix}receipt",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("conversation_id", characters(64), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("member_id", characters(64), nullable=False),
        sa.Column("kind", characters(16), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("receipt_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "conversation_id", "event_id", "member_id", "kind"),
        schema=schema,
        sqlite_with_rowid=False,
    )
    op.create_table(
        f"{prefix}leg",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("id", characters(255), nullable=False),
        sa.Column("type", characters(16), nullable=False),
        sa.Column("status", characters(16), nullable=False),
        sa.Column("direction", characters(16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("session_id", characters(64), nullable=False),
        sa.Column("conversation_id", characters(64), nullable=True),
        sa.Column("member_id", characters(64), nullable=True),
        sa.Column("knocking_id", characters(64), nullable=True),
        sa.Column("sender", long_text(), nullable=False),
        sa.Column("to", long_text(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=True),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.Column("duration", sa.BigInteger(), nullable=True),
        sa.Column("rate", characters(255), nullable=True),
        sa.Column("price", characters(255), nullable=True),
        sa.Column("network", characters(255), nullable=True),
        sa.Column("history", long_text(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "id"),
        schema=schema,
    )
    op.create_index(f"{prefix}leg_created", f"{prefix}leg", ["application_id", "created", "id"], schema=schema)
    op.create_index(f"{prefix}leg_conversation", f"{prefix}leg", ["application_id", "conversation_id", "status"], schema=schema)
    op.create_index(f"{prefix}leg_knocking", f"{prefix}leg", ["application_id", "knocking_id"], schema=schema)


def _drop(prefix: str, schema: str | None) -> None:
    for name in ("leg", "receipt", "event", "member", "user", "conversation"):
        op.drop_table(f"{prefix}{name}", schema=schema)


upgrade = upgrading(down_revision, revision, _make)
downgrade = downgrading(down_revision, revision, _drop)
