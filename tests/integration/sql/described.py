"""What a database says about its tables, to compare those of two."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, inspect, text

POSTGRES = {
    "columns": """
        SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default, collation_name
        FROM information_schema.columns WHERE table_schema = current_schema()""",
    "indexes": """
        SELECT tablename, indexname, replace(indexdef, current_schema() || '.', '') FROM pg_indexes WHERE schemaname = current_schema()""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = current_schema()::regnamespace""",
}
MARIADB = {
    "tables": "SELECT table_name, engine, table_collation FROM information_schema.tables WHERE table_schema = database()",
    "columns": """
        SELECT table_name, column_name, column_type, is_nullable, column_default, character_set_name, collation_name, extra
        FROM information_schema.columns WHERE table_schema = database()""",
    "indexes": """
        SELECT table_name, index_name, non_unique, seq_in_index, column_name, sub_part
        FROM information_schema.statistics WHERE table_schema = database()""",
}


def described(connection: Connection) -> dict[str, Any]:
    """All tables, columns, indexes and constraints; in which order a table's columns stand does not count."""
    if connection.dialect.name == "sqlite":
        return _sqlite(connection)
    queries = POSTGRES if connection.dialect.name == "postgresql" else MARIADB
    return {what: sorted(map(repr, connection.execute(text(query)))) for what, query in queries.items()}


def _sqlite(connection: Connection) -> dict[str, Any]:
    def pragma(call: str) -> list[Any]:
        return list(connection.execute(text(f"SELECT * FROM pragma_{call}")).mappings())

    found: dict[str, Any] = {}
    for name in inspect(connection).get_table_names():
        columns = {row["name"]: (row["type"], row["notnull"], row["dflt_value"], row["pk"]) for row in pragma(f"table_info('{name}')")}
        indexes = {
            # An index of a constraint is called after its number among the table's indexes.
            (row["name"] if row["origin"] == "c" else row["origin"], row["unique"]): [
                one["name"] for one in pragma(f"index_info('{row['name']}')")
            ]
            for row in pragma(f"index_list('{name}')")
        }
        (table,) = (row for row in pragma("table_list") if row["name"] == name)
        constraints = {(one["name"], *one["column_names"]) for one in inspect(connection).get_unique_constraints(name)}
        found[name] = (table["wr"], columns, indexes, constraints)
    return found
