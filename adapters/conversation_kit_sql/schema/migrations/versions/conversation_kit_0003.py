"""Deletions, exclusions, blocks, what is left of conversations, what can be used once only, more about users, and the epoch of the log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from conversation_kit_sql.schema.migrations.revising import characters, downgrading, long_text, upgrading

revision = "conversation_kit_0003"
down_revision = "conversation_kit_0002"
branch_labels = None
depends_on = None


def _add(prefix: str, schema: str | None) -> None:
    op.create_table(
        f"{prefix}deletion",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("conversation_id", characters(64), nullable=False),
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("application_id", "conversation_id", "event_id"),
        schema=schema,
        sqlite_with_rowid=False,
    )
    op.create_index(f"{prefix}member_inviter", f"{prefix}member", ["application_id", "invited_by", "state"], schema=schema)
    op.create_table(
        f"{prefix}exclusion",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("conversation_id", characters(64), nullable=False),
        sa.Column("user_id", characters(64), nullable=False),
        sa.Column("kind", characters(16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("excluded_by", characters(64), nullable=True),
        sa.Column("reason", characters(255), nullable=True),
        sa.PrimaryKeyConstraint("application_id", "conversation_id", "user_id"),
        schema=schema,
    )
    op.create_index(f"{prefix}exclusion_user", f"{prefix}exclusion", ["application_id", "user_id"], schema=schema)
    op.create_table(
        f"{prefix}block",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("user_id", characters(64), nullable=False),
        sa.Column("blocked_id", characters(64), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "user_id", "blocked_id"),
        schema=schema,
    )
    op.create_index(f"{prefix}block_blocked", f"{prefix}block", ["application_id", "blocked_id"], schema=schema)
    op.create_table(
        f"{prefix}spent",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("mark", characters(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "mark"),
        schema=schema,
        sqlite_with_rowid=False,
    )
    op.create_index(f"{prefix}spent_expires", f"{prefix}spent", ["application_id", "expires_at"], schema=schema)
    op.create_table(
        f"{prefix}removal",
        sa.Column("application_id", characters(255), nullable=False),
        sa.Column("conversation_id", characters(64), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "conversation_id"),
        schema=schema,
    )
    op.add_column(f"{prefix}user", sa.Column("tokens_since", sa.BigInteger(), nullable=True), schema=schema)
    op.add_column(f"{prefix}user", sa.Column("properties", long_text(), nullable=True), schema=schema)
    op.add_column(f"{prefix}member", sa.Column("display_name", characters(255), nullable=True), schema=schema)
    op.add_column(f"{prefix}member", sa.Column("image_url", characters(2048), nullable=True), schema=schema)
    op.execute(_shown(prefix, schema))
    op.create_table(f"{prefix}epoch", sa.Column("epoch", characters(64), primary_key=True), schema=schema)


def _shown(prefix: str, schema: str | None) -> sa.Update:
    """Return the statement that copies what users are shown as to their members."""

    def table(noun: str) -> sa.TableClause:
        return sa.table(f"{prefix}{noun}", *[sa.column(name) for name in ("application_id", "id", "user_id", *names)], schema=schema)

    names = ("display_name", "image_url")
    member, user = table("member"), table("user")
    own = (user.c.application_id == member.c.application_id, user.c.id == member.c.user_id)
    return sa.update(member).values({name: sa.select(user.c[name]).where(*own).scalar_subquery() for name in names})


def _drop(prefix: str, schema: str | None) -> None:
    op.drop_table(f"{prefix}epoch", schema=schema)
    op.drop_column(f"{prefix}user", "tokens_since", schema=schema)
    op.drop_column(f"{prefix}member", "image_url", schema=schema)
    op.drop_column(f"{prefix}member", "display_name", schema=schema)
    op.drop_column(f"{prefix}user", "properties", schema=schema)
    op.drop_table(f"{prefix}spent", schema=schema)
    op.drop_table(f"{prefix}block", schema=schema)
    op.drop_table(f"{prefix}exclusion", schema=schema)
    op.drop_index(f"{prefix}member_inviter", f"{prefix}member", schema=schema)
    op.drop_table(f"{prefix}deletion", schema=schema)
    # The rows that were still to be removed stay where they are, and nobody finds them.
    op.drop_table(f"{prefix}removal", schema=schema)


upgrade = upgrading(down_revision, revision, _add)
downgrade = downgrading(down_revision, revision, _drop)
