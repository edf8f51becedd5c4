"""Numbers that say how far members have read. Events from before count as read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from conversation_kit_sql.schema.migrations.revising import downgrading, upgrading

revision = "conversation_kit_0002"
down_revision = "conversation_kit_0001"
branch_labels = None
depends_on = None

COLUMNS = (("conversation", "messages"), ("event", "messages"), ("member", "since"), ("member", "seen"), ("member", "seen_messages"))


def _add(prefix: str, schema: str | None) -> None:
    for table, name in COLUMNS:
        op.add_column(f"{prefix}{table}", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False), schema=schema)


def _drop(prefix: str, schema: str | None) -> None:
    for table, name in COLUMNS:
        op.drop_column(f"{prefix}{table}", name, schema=schema)


upgrade = upgrading(down_revision, revision, _add)
downgrade = downgrading(down_revision, revision, _drop)
