"""A host that has Alembic migrations of its own, with the commands that docs/migrations.md shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from conversation_kit import Migration
from conversation_kit_sql import SCHEMA_VERSION, SQLStorage, migrate, without_kit_tables
from conversation_kit_sql.schema.version_table import VersionTable
from tests.integration.sql import stored
from tests.integration.sql.alembic_host import Host
from tests.integration.sql.connected import PREFIX, connected, opened_and_closed
from tests.integration.sql.described import described
from tests.integration.sql.revisions import NEXT, next_release
from tests.support.databases import SQL, fresh

pytestmark = pytest.mark.anyio

CALLING = """
from alembic import op
import sqlalchemy as sa
from conversation_kit_sql import migrate

revision = "chat"
down_revision = {down!r}

def upgrade():
    op.create_table("before_chat", sa.Column("id", sa.Integer, primary_key=True))
    migrate(op.get_bind())
    op.create_table("after_chat", sa.Column("id", sa.Integer, primary_key=True))
"""


@pytest.fixture
def anyio_backend() -> str:
    """Of the storages that look at the outcome; Alembic is synchronous."""
    return "asyncio"


@pytest.fixture(params=SQL)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    with fresh(request.param, tmp_path) as url:
        yield Host(tmp_path / "host", url)


async def test_autogenerate_does_not_see_the_tables_of_the_kit(host: Host) -> None:
    await SQLStorage(host.url).migrate()
    host.write()
    host.run("revision --autogenerate -m first")
    assert re.findall(r"op\.(\w+)", host.generated("first")) == ["create_table", "drop_table"]
    assert PREFIX not in host.generated("first")
    host.run("upgrade head")
    host.run("check")
    assert {"guests", f"{PREFIX}event"} <= host.tables()


async def test_autogenerate_without_the_filter_drops_them(host: Host) -> None:
    await SQLStorage(host.url).migrate()
    host.write(configure="")
    host.run("revision --autogenerate -m first")
    assert f"op.drop_table('{PREFIX}event')" in host.generated("first")
    assert f"op.drop_table('{PREFIX}schema_version')" in host.generated("first")


async def test_the_filter_knows_prefix_and_schema_and_asks_the_hosts_own(host: Host) -> None:
    with connected(host.url) as connection:
        schema = connection.dialect.default_schema_name
        connection.execute(text("CREATE TABLE chat_guests (id INTEGER)"))
        connection.execute(text("CREATE TABLE legacy (id INTEGER)"))
    await SQLStorage(host.url, prefix="chat_", schema=schema).migrate()
    own = "include_name=lambda name, type_, parents: name != 'legacy'"
    host.write(configure=f"include_name=without_kit_tables(prefix='chat_', schema={schema!r}, {own})")
    host.run("revision --autogenerate -m first")
    assert set(re.findall(r"\w*chat_\w+|legacy", host.generated("first"))) == {"chat_guests"}


def test_the_filter_cannot_be_mistaken_for_what_it_returns() -> None:
    with pytest.raises(TypeError):
        without_kit_tables("user", "table", {})  # type: ignore[call-arg, arg-type]


async def test_a_revision_of_the_hosts_may_migrate_over_its_own_connection(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write()
    (host.versions / "chat.py").write_text(CALLING.format(down=None))
    host.run("upgrade head")
    assert {"before_chat", "after_chat", f"{PREFIX}event"} <= host.tables()
    await opened_and_closed(host.url, create_schema=False)
    with connected(host.url) as connection:
        stored.fill(connection, PREFIX)
    next_release(tmp_path).install(monkeypatch)
    code = CALLING.format(down="chat").replace('"chat"', '"chat_2"', 1).replace("_chat", "_chat_2")
    (host.versions / "chat_2.py").write_text(code)
    host.run("upgrade head")
    assert {"before_chat_2", "after_chat_2"} <= host.tables()
    storage = SQLStorage(host.url, create_schema=False)
    await storage.open()
    try:
        await stored.check(storage)
    finally:
        await storage.close()


OURS = "conversation_kit_sql:schema/migrations/versions"


@pytest.mark.parametrize("prefix", [PREFIX, "chat_"])
async def test_the_revisions_as_a_branch_of_the_hosts(host: Host, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {} if prefix == PREFIX else {"prefix": prefix}
    filter = f"include_name=without_kit_tables(prefix={prefix!r})"
    host.write(more=OURS, configure=filter, **options)
    host.run("upgrade conversation_kit@head")
    host.run("revision --autogenerate -m first --head base --branch-label app --version-path " + str(host.versions))
    host.run("upgrade heads")
    host.run("revision --autogenerate -m second --head app@head")
    host.run("upgrade heads")
    assert "pass" in host.generated("second")
    with connected(host.url) as connection:
        current = set(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
    assert len(current) == 2
    assert SCHEMA_VERSION in current
    assert {"guests", f"{prefix}event"} <= host.tables()
    await opened_and_closed(host.url, create_schema=False, prefix=prefix)
    assert await SQLStorage(host.url, prefix=prefix).migrate() == Migration(SCHEMA_VERSION, SCHEMA_VERSION)

    # The next release.
    with connected(host.url) as connection:
        stored.fill(connection, prefix)
    release = next_release(tmp_path)
    release.install(monkeypatch)
    host.write(more=str(release.scripts / "versions"), configure=filter, **options)
    host.run("upgrade heads")
    storage = SQLStorage(host.url, create_schema=False, prefix=prefix)
    await storage.open()
    try:
        await stored.check(storage)
    finally:
        await storage.close()
    host.run("downgrade conversation_kit@-1")
    with connected(host.url) as connection:
        assert VersionTable(prefix).read(connection) == SCHEMA_VERSION
    host.run("downgrade conversation_kit@base")
    assert not [name for name in host.tables() if name.startswith(prefix)]
    assert "guests" in host.tables()


async def test_the_revisions_as_a_branch_of_a_host_that_has_revisions(host: Host) -> None:
    host.write()
    host.run("revision --autogenerate -m first")
    host.run("upgrade head")
    (first,) = host.versions.glob("*_first.py")
    first.write_text(first.read_text().replace("branch_labels = None", "branch_labels = ('app',)"))
    host.write(more=OURS)
    host.run("upgrade heads")
    host.run("revision --autogenerate -m second --head app@head")
    host.run("upgrade heads")
    assert "pass" in host.generated("second")
    await opened_and_closed(host.url, create_schema=False)


async def test_a_host_may_take_over_tables_that_the_kit_migrated(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await SQLStorage(host.url).migrate()
    with connected(host.url) as connection:
        stored.fill(connection, PREFIX)
        expected = described(connection)
    host.write(more=OURS)
    host.run("upgrade heads")
    with connected(host.url) as connection:
        connection.execute(text("DROP TABLE alembic_version"))
        assert described(connection) == expected
    release = next_release(tmp_path)
    release.install(monkeypatch)
    host.write(more=str(release.scripts / "versions"))
    host.run("upgrade heads")
    with connected(host.url) as connection:
        assert VersionTable(PREFIX).read(connection) == NEXT
    await opened_and_closed(host.url)


@pytest.mark.parametrize("kind", SQL)
async def test_the_revisions_as_a_script(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with fresh(kind, tmp_path) as url:
        host, release = Host(tmp_path / "host", url), next_release(tmp_path)
        # Offline, Alembic learns that it is MariaDB from the URL alone.
        Host(tmp_path / "host", url.replace("mysql", "mariadb", 1)).write(more=str(release.scripts / "versions"))
        release.install(monkeypatch)
        for command in ("upgrade heads --sql", f"downgrade {NEXT}:{SCHEMA_VERSION} --sql"):
            capsys.readouterr()
            host.run(command)
            with connected(url) as connection:
                for statement in re.split(r";$", capsys.readouterr().out, flags=re.MULTILINE):
                    sql = re.sub(r"^--.*$", "", statement, flags=re.MULTILINE).strip()
                    if sql and sql not in ("BEGIN", "COMMIT"):
                        connection.exec_driver_sql(sql)
        with connected(url) as connection:
            assert VersionTable(PREFIX).read(connection) == SCHEMA_VERSION
            connection.execute(text("DROP TABLE alembic_version"))
            scripted = described(connection)
    with fresh(kind, tmp_path / "host") as url:
        with connected(url) as connection:
            migrate(connection)
        with connected(url) as connection:
            assert described(connection) == scripted
