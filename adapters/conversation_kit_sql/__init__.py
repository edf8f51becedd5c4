"""conversation-kit on a relational database: SQLModel tables, SQLAlchemy, worker threads, Alembic migrations."""

from conversation_kit_sql.broker import PostgresBroker
from conversation_kit_sql.host_migrations import without_kit_tables
from conversation_kit_sql.schema import migrate
from conversation_kit_sql.storage import SQLStorage
from conversation_kit_sql.version_table import SCHEMA_VERSION

__all__ = ["SCHEMA_VERSION", "PostgresBroker", "SQLStorage", "migrate", "without_kit_tables"]
