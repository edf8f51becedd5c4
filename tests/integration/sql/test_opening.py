"""What is told when a database is opened and somebody has to set something right first, and in which encoding it is spoken to."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from conversation_kit import ConfigurationError, StorageUnavailable
from conversation_kit_sql import SQLStorage
from tests.support.databases import fresh, postgres
from tests.support.ports import free_port
from tests.support.processes import COMMAND
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio
EMOJI = "\N{SMILING FACE WITH SUNGLASSES} \N{CJK UNIFIED IDEOGRAPH-4E2D}"


async def refusal(url: str) -> str:
    with pytest.raises(ConfigurationError) as told:
        await SQLStorage(url).open()
    return str(told.value)


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    told = await refusal(f"sqlite:///{tmp_path}/nowhere/chat.db")
    assert told.startswith(f"The folder {tmp_path}/nowhere of the SQLite file does not exist: create it")


async def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    assert (
        await refusal(f"sqlite:///{tmp_path}")
        == f"{tmp_path} is a folder: name a file in it in the storage URL, such as {tmp_path}/chat.db."
    )


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "chat.db").write_text("Dear diary, " * 1000)
    assert "is no SQLite database: name another file" in await refusal(f"sqlite:///{tmp_path}/chat.db")


async def test_a_file_that_is_opened_for_reading_only(tmp_path: Path) -> None:
    storage = SQLStorage(f"sqlite:///{tmp_path}/chat.db")
    await storage.open()
    await storage.close()
    told = await refusal(f"sqlite:///file:{tmp_path}/chat.db?mode=ro&uri=true")
    assert told.startswith(f"The SQLite file {tmp_path}/chat.db is opened for reading only: take mode=ro out")


@pytest.fixture(params=["file", "folder"])
def forbidden(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A database that may only be read, and which of its file and its folder is to blame."""
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE host (id INTEGER)")
    (tmp_path / "chat.db").chmod(0o444 if request.param == "file" else 0o666)
    tmp_path.chmod(0o777 if request.param == "file" else 0o555)
    yield tmp_path / "chat.db", request.param
    tmp_path.chmod(0o777)


def test_a_right_that_is_missing_is_named_with_the_file_by_the_command_line(forbidden: tuple[Path, str]) -> None:
    file, what = forbidden
    command = [COMMAND, "migrate", "--storage", f"sqlite:///{file}"]
    if os.geteuid() == 0:  # for root there is nothing that may not be
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("this is root, and there is no setpriv to run something with fewer rights")
        command = [setpriv, "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    named = f"read and write the SQLite file {file}" if what == "file" else f"write into the folder {file.parent}, where SQLite"
    assert named in done.stderr
    assert "grant it that right" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_database_and_a_user_that_do_not_exist(kind: str, tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        told = await refusal(make_url(url).set(database="ck_nowhere").render_as_string(hide_password=False))
        assert "ck_nowhere" in told
        assert "create the database, or correct its name" in told
        told = await refusal(make_url(url).set(username="ck_nobody", password="wrong").render_as_string(hide_password=False))
        assert "ck_nobody" in told
        assert "wrong" not in told
        assert "in the storage URL" in told


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
async def test_a_server_that_is_not_there_may_come(scheme: str) -> None:
    for host in (f"127.0.0.1:{free_port()}", "nowhere.invalid"):
        with pytest.raises(StorageUnavailable):
            await SQLStorage(f"{scheme}://somebody@{host}/chat").open()


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("mariadb", {"charset": "utf8"}),
        ("mariadb", {"charset": "latin1"}),
        ("postgresql", {"client_encoding": "latin1"}),
        ("postgresql", {"options": "-cclient_encoding=sql_ascii"}),
    ],
)
async def test_every_text_comes_through_whatever_encoding_the_url_asks_for(kind: str, query: dict[str, str], tmp_path: Path) -> None:
    with fresh(kind, tmp_path) as url:
        here = make_url(url)
        if "options" in query:
            query = {"options": f"{here.query['options']} {query['options']}"}
        here = here.update_query_dict(query)
        kit = make_kit(SQLStorage(here))
        async with kit.lifespan():
            room = await kit.conversations.create(EMOJI)
            await kit.events.create(room.id, "text", {"text": EMOJI})
            assert (await kit.conversations.get(room.id)).name == EMOJI
            assert [event.body["text"] for event in await kit.events.list(room.id)] == [EMOJI]


@pytest.mark.parametrize(
    ("kind", "query", "told"),
    [
        ("mariadb", {"charset": "utf8mb3"}, "add charset=utf8mb4"),
        ("postgresql", {"client_encoding": "latin1"}, "client_encoding is LATIN1"),
    ],
)
async def test_an_engine_of_the_hosts_that_cannot_carry_every_text_is_refused(
    kind: str, query: dict[str, str], told: str, tmp_path: Path
) -> None:
    with fresh(kind, tmp_path) as url:
        engine = create_engine(make_url(url).update_query_dict(query), poolclass=NullPool)
        with pytest.raises(ConfigurationError, match=told):
            await SQLStorage(engine).open()


@pytest.mark.parametrize(("encoding", "works"), [("SQL_ASCII", True), ("LATIN1", False)])
async def test_a_database_of_another_encoding(encoding: str, works: bool) -> None:
    server = postgres()
    name = f"ck_{encoding.lower()}_{os.getpid()}"
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"))
        try:
            kit = make_kit(SQLStorage(server.set(database=name)))
            if works:
                async with kit.lifespan():
                    made = await kit.conversations.create(EMOJI)
                    assert (await kit.conversations.get(made.id)).name == EMOJI
            else:
                with pytest.raises(ConfigurationError, match="LATIN1, which cannot store every text"):
                    await kit.start()
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
