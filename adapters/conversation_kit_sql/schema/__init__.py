"""The tables, their history as Alembic revisions, and making or upgrading them."""
