"""``conversation-kit migrate``, and a kit that migrates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conversation_kit import ConfigurationError, ConversationKit, HostAuthenticator, Migration
from conversation_kit.cli.main import main
from conversation_kit_sql import SCHEMA_VERSION
from tests.integration.sql.revisions import NEXT, next_release
from tests.support.databases import SQL, fresh
from tests.support.processes import run


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh(request.param, tmp_path) as url:
        yield url


def kit_on(url: str) -> ConversationKit:
    return ConversationKit(storage=url, auth=HostAuthenticator(lambda scope: None))


@pytest.mark.anyio
async def test_a_kit_migrates_open_or_not(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kit = kit_on(url)
    assert await kit.migrate() == Migration(None, SCHEMA_VERSION)
    async with kit.lifespan():
        assert await kit.migrate() == Migration(SCHEMA_VERSION, SCHEMA_VERSION)
        await kit.application("app").conversations.create("room")
    next_release(tmp_path).install(monkeypatch)
    with pytest.raises(ConfigurationError, match=r"`await kit\.migrate\(\)`"):
        await kit.start()
    assert await kit.migrate() == Migration(SCHEMA_VERSION, NEXT)
    async with kit.lifespan():
        assert (await kit.application("app").conversations.list()).total == 1


@pytest.mark.anyio
async def test_a_storage_without_a_schema_has_nothing_to_migrate() -> None:
    assert await kit_on("memory://").migrate() is None


def test_the_command_says_from_where_to_where(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: str) -> str:
        main(["migrate", "--storage", url, *arguments])
        return capsys.readouterr().out

    assert told() == f"The tables are made, at {SCHEMA_VERSION}.\n"
    assert told() == f"The tables are at {SCHEMA_VERSION} already: there is nothing to do.\n"
    assert told("--prefix", "chat_") == f"The tables are made, at {SCHEMA_VERSION}.\n"
    next_release(tmp_path).install(monkeypatch)
    assert told() == f"The tables went from {SCHEMA_VERSION} to {NEXT}.\n"
    monkeypatch.undo()
    with pytest.raises(SystemExit) as ended:
        told()
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("upgrade conversation-kit.\n")


def test_the_command_as_a_process(url: str) -> None:
    done = run("migrate", "--storage", url)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"The tables are made, at {SCHEMA_VERSION}.\n", "")


def test_the_command_has_nothing_to_do_in_memory() -> None:
    done = run("migrate", "--storage", "memory://")
    assert (done.returncode, done.stdout) == (0, "This storage has no tables: there is nothing to migrate.\n")


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    missing = run("migrate", "--storage", f"sqlite:///{tmp_path}/nowhere/chat.db")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "nowhere of the SQLite file does not exist: create it, or correct the storage URL" in missing.stderr
    schema = run("migrate", "--storage", f"sqlite:///{tmp_path}/chat.db", "--schema", "nowhere")
    assert (schema.returncode, schema.stdout) == (2, "")
    assert "There is no database schema 'nowhere'" in schema.stderr
