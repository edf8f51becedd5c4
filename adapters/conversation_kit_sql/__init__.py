"""conversation-kit on a relational database: SQLModel tables, SQLAlchemy, worker threads, Alembic migrations."""

from conversation_kit_sql.postgres_broker import PostgresBroker
from conversation_kit_sql.schema.host_migrations import without_kit_tables
from conversation_kit_sql.schema.tables import SCHEMA_VERSION
from conversation_kit_sql.schema.upgrade import migrate
from conversation_kit_sql.storage import SQLStorage

__all__ = ["SCHEMA_VERSION", "PostgresBroker", "SQLStorage", "migrate", "without_kit_tables"]
