"""conversation-kit on a relational database: SQLModel tables, SQLAlchemy, worker threads."""

from conversation_kit_sql.storage import SQLStorage
from conversation_kit_sql.tables import SCHEMA_VERSION

__all__ = ["SCHEMA_VERSION", "SQLStorage"]
