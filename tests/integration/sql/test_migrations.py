"""Every revision of the schema upgrades with data in it, and makes the same tables as creating them does."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from conversation_kit import ConfigurationError, ConversationKit, HostAuthenticator, Migration, unread
from conversation_kit_sql import SCHEMA_VERSION, SQLStorage, migrate
from conversation_kit_sql.schema.tables import make_tables
from conversation_kit_sql.schema.upgrade import SCRIPTS, run_revisions
from conversation_kit_sql.schema.version_table import FIRST, VersionTable
from tests.integration.sql import stored
from tests.integration.sql.connected import PREFIX, connected, opened_and_closed
from tests.integration.sql.described import described
from tests.integration.sql.revisions import NEXT, next_release
from tests.support.databases import SQL, fresh

pytestmark = pytest.mark.anyio


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    return ScriptDirectory.from_config(config)


REVISIONS = [script.revision for script in scripts().walk_revisions()][::-1]


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh(request.param, tmp_path) as url:
        yield url


def test_revisions_are_one_line_that_sorts_by_name_and_ends_at_the_version_of_the_schema() -> None:
    assert sorted(REVISIONS) == REVISIONS
    assert (REVISIONS[0], REVISIONS[-1]) == (FIRST, SCHEMA_VERSION)
    assert scripts().get_heads() == [SCHEMA_VERSION]
    for revision in REVISIONS:
        assert re.fullmatch(r"conversation_kit_\d{4}", revision)
        script = scripts().get_revision(revision)
        assert Path(script.path).stem == revision
        assert script.branch_labels == {"conversation_kit"}


@pytest.mark.parametrize("prefix", [PREFIX, "chat_"])
async def test_tables_that_were_created_are_those_that_were_migrated(
    url: str, prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "other").mkdir()
    with fresh(request.node.callspec.params["url"], tmp_path / "other") as other:
        for place in (url, other):
            with connected(place) as connection:
                schema = None if prefix == PREFIX else connection.dialect.default_schema_name
                if place == other:
                    run_revisions(connection, prefix, schema, SCHEMA_VERSION)
            if place == url:
                await opened_and_closed(url, prefix=prefix, schema=schema)
        with connected(url) as created, connected(other) as migrated:
            assert described(created) == described(migrated)
            for connection in (created, migrated):
                options = {"version_table": f"{prefix}schema_version", "compare_type": True, "compare_server_default": True}
                context = MigrationContext.configure(connection, opts=options)
                assert compare_metadata(context, make_tables(prefix).metadata) == []


@pytest.mark.parametrize("revision", REVISIONS)
async def test_data_of_every_released_schema_are_read_by_this_release(url: str, revision: str) -> None:
    with connected(url) as connection:
        run_revisions(connection, PREFIX, None, revision)
        stored.fill(connection, PREFIX)
    storage = SQLStorage(url)
    assert await storage.migrate() == Migration(revision, SCHEMA_VERSION)
    assert await storage.migrate() == Migration(SCHEMA_VERSION, SCHEMA_VERSION)
    await storage.open()
    try:
        await stored.check(storage)
    finally:
        await storage.close()


async def test_what_was_said_before_there_were_pointers_counts_as_read(url: str) -> None:
    with connected(url) as connection:
        run_revisions(connection, PREFIX, None, FIRST)
        stored.fill(connection, PREFIX)
    kit = ConversationKit(storage=SQLStorage(url), auth=HostAuthenticator(lambda scope: None))
    assert await kit.migrate() == Migration(FIRST, SCHEMA_VERSION)
    admin, ana = kit.application(stored.A), kit.as_user("Ana", application_id=stored.A)

    async def read_by(user_id: str) -> tuple[int, int]:
        ((conversation, member),) = (await admin.users.conversations(user_id)).items
        return member.seen, unread(conversation, member)

    async with kit.lifespan():
        assert (await read_by("USR-1"), await read_by("USR-2")) == ((0, 0), (0, 0))
        await admin.events.create("CON-1", "text", {"text": "new"})
        assert (await read_by("USR-1"), await read_by("USR-2")) == ((0, 1), (0, 1))
        await ana.events.create("CON-1", "event:seen", {"event_id": 3})
        assert await read_by("USR-1") == (3, 1)
        own = await ana.events.create("CON-1", "text", {"text": "read"})
        assert (await read_by("USR-1"), await read_by("USR-2")) == ((own.id, 0), (0, 2))
        await ana.events.create("CON-1", "event:seen", {"event_id": 1})
        assert await read_by("USR-1") == (own.id, 0)


async def test_the_next_revision_upgrades_with_data_too(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = SQLStorage(url)
    await storage.migrate()
    with connected(url) as connection:
        stored.fill(connection, PREFIX)
    next_release(tmp_path).install(monkeypatch)
    with pytest.raises(ConfigurationError, match="conversation-kit migrate --storage"):
        await storage.open()
    assert await storage.migrate() == Migration(SCHEMA_VERSION, NEXT)
    await storage.open()
    try:
        await stored.check(storage)
    finally:
        await storage.close()
    with connected(url) as connection:
        assert set(connection.execute(text(f"SELECT mood FROM {PREFIX}user")).scalars()) == {"fine"}
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match=r"are at conversation_kit_9999, .* upgrade conversation-kit\.$"):
        await storage.open()
    with pytest.raises(ConfigurationError, match=r"upgrade conversation-kit\.$"):
        await storage.migrate()


async def test_a_database_from_before_there_were_revisions_is_at_the_first_one(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(url) as connection:
        run_revisions(connection, PREFIX, None, FIRST)
        stored.fill(connection, PREFIX)
        expected = described(connection)
        connection.execute(text(f"DROP TABLE {PREFIX}schema_version"))
        connection.execute(text(f"CREATE TABLE {PREFIX}schema_version (version INTEGER NOT NULL, PRIMARY KEY (version))"))
        connection.execute(text(f"INSERT INTO {PREFIX}schema_version VALUES (1)"))
    storage = SQLStorage(url)
    if FIRST == SCHEMA_VERSION:
        await opened_and_closed(url, create_schema=False)
        assert await storage.migrate() == Migration(FIRST, FIRST)
        with connected(url) as connection:
            assert described(connection) == expected
    next_release(tmp_path).install(monkeypatch)
    assert await storage.migrate() == Migration(FIRST, NEXT)
    await storage.open()
    try:
        await stored.check(storage)
    finally:
        await storage.close()


async def test_who_was_stopped_while_creating_is_followed_by_one_who_finishes(url: str) -> None:
    storage = SQLStorage(url)
    await storage.migrate()
    with connected(url) as connection:
        expected = described(connection)
        on = f" ON {PREFIX}user" if connection.dialect.name == "mysql" else ""
        connection.execute(text(f"DROP INDEX {PREFIX}user_created{on}"))
        connection.execute(text(f"DROP TABLE {PREFIX}leg"))
        connection.execute(text(f"DELETE FROM {PREFIX}schema_version"))
        assert described(connection) != expected
    await opened_and_closed(url)
    with connected(url) as connection:
        assert described(connection) == expected
        assert VersionTable(PREFIX).read(connection) == SCHEMA_VERSION


async def test_data_of_an_unknown_revision_are_left_alone(url: str) -> None:
    storage = SQLStorage(url)
    await storage.migrate()
    with connected(url) as connection:
        stored.fill(connection, PREFIX)
        connection.execute(text(f"DROP TABLE {PREFIX}schema_version"))
    for attempt in (storage.open, storage.migrate):
        with pytest.raises(ConfigurationError, match="conversation_kit_schema_version does not say which revision"):
            await attempt()


async def test_prefixes_and_schemas_have_revisions_of_their_own(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(url) as connection:
        schema = connection.dialect.default_schema_name
    one, two = SQLStorage(url, prefix="one_", schema=schema), SQLStorage(url, prefix="")
    assert await one.migrate() == Migration(None, SCHEMA_VERSION)
    assert await two.migrate() == Migration(None, SCHEMA_VERSION)
    next_release(tmp_path).install(monkeypatch)
    assert await one.migrate() == Migration(SCHEMA_VERSION, NEXT)
    await one.open()
    await one.close()
    with pytest.raises(ConfigurationError, match=f"are at {SCHEMA_VERSION}"):
        await two.open()
    assert await two.migrate() == Migration(SCHEMA_VERSION, NEXT)


async def test_a_message_says_the_whole_command_and_no_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as told:
        await opened_and_closed(f"sqlite:///{tmp_path}/c h.db", prefix="chat_", schema="main", create_schema=False)
    command = f"conversation-kit migrate --storage 'sqlite:///{tmp_path}/c h.db' --prefix chat_ --schema main"
    assert str(told.value).startswith(f"There are no tables chat_*: run `{command}`, or `await kit.migrate()`")


async def test_a_database_schema_that_is_not_there_is_named(url: str) -> None:
    for attempt in (SQLStorage(url, schema="nowhere").open, SQLStorage(url, schema="nowhere").migrate):
        with pytest.raises(ConfigurationError, match="There is no database schema 'nowhere'"):
            await attempt()


async def test_opening_what_is_up_to_date_waits_for_nobody(url: str) -> None:
    await opened_and_closed(url)
    with connected(url) as writer:
        if writer.dialect.name == "sqlite":
            writer.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            migrate(writer)
        await opened_and_closed(url)


def test_threads_of_one_process_take_turns(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alembic by itself can run one migration at a time in a process, even of different databases."""
    prefixes = [f"p{number}_" for number in range(4)]
    with connected(url) as connection:
        for prefix in prefixes:
            migrate(connection, prefix=prefix)
    next_release(tmp_path).install(monkeypatch)
    done: list[Migration] = []

    def run(prefix: str) -> None:
        with connected(url) as connection:
            done.append(migrate(connection, prefix=prefix))

    threads = [threading.Thread(target=run, args=(prefix,)) for prefix in prefixes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [Migration(SCHEMA_VERSION, NEXT)] * 4
