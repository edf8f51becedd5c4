"""The schema's history as Alembic revisions, run by ``schema.py`` or by a host's own Alembic."""
