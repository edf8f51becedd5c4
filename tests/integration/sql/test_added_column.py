"""A column that is added to members is a change of three files: the model, the table and a revision."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

import conversation_kit
import conversation_kit_sql
from conversation_kit import ConversationKit, HostAuthenticator, Migration
from conversation_kit_sql import SCHEMA_VERSION
from tests.support.databases import SQL, fresh

pytestmark = pytest.mark.anyio
NEXT = "conversation_kit_9999"
REVISION = f'''
"""Stars of members."""

import sqlalchemy as sa
from alembic import op

from conversation_kit_sql.schema.migrations.revising import downgrading, upgrading

revision = "{NEXT}"
down_revision = "{SCHEMA_VERSION}"
branch_labels = None
depends_on = None


def _add(prefix, schema):
    op.add_column(f"{{prefix}}member", sa.Column("stars", sa.BigInteger(), server_default="0", nullable=False), schema=schema)


def _drop(prefix, schema):
    op.drop_column(f"{{prefix}}member", "stars", schema=schema)


upgrade = upgrading(down_revision, revision, _add)
downgrade = downgrading(down_revision, revision, _drop)
'''
CODE = """
import sys
from dataclasses import replace
import anyio
from conversation_kit import ConversationKit, HostAuthenticator
from conversation_kit.domain.reading import Access, Page
from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.scene import Needs
from conversation_kit.domain.values.times import now

async def main(url, room, member):
    kit = ConversationKit(storage=url, auth=HostAuthenticator(lambda scope: None))
    print(*names(await kit.migrate()))
    async with kit.lifespan():
        storage, access = kit.storage, Access("default", now())
        print((await storage.get_member(access, room, member)).stars)

        def decide(scene):
            draft = Draft(scene, now())
            draft.save_member(replace(scene.member(member), stars=5))
            return draft.done(None)

        await storage.change("default", room, Needs(members=(member,)), decide)
        await kit.events.create(room, "text", {"text": "read up to here"}, sender=member)
        newcomer = await kit.members.join(room, user_name="bo")
        found = [
            await storage.get_member(access, room, member),
            (await storage.list_members(access, room, Page())).items[0],
            (await storage.get_conversation(access, room, 10))[1][0],
            (await storage.list_memberships("default", newcomer.user_id, Page(), now())).items[0][1],
        ]
        print([(one.stars, one.seen, one.seen_messages) for one in found])
        changes = await storage.change("default", room, Needs(caller="ana"), lambda scene: Draft(scene, now()).done(scene.members))
        print([(one.stars, one.seen) for one in changes.result])

def names(migration):
    return migration.before, migration.after

anyio.run(main, *sys.argv[1:])
"""


def edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert text.count(old) == 1, (file, old)
        text = text.replace(old, new)
    file.write_text(text)


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages, with the three files changed."""
    folder = tmp_path_factory.mktemp("release")
    for package in (conversation_kit, conversation_kit_sql):
        shutil.copytree(package.__path__[0], folder / package.__name__, ignore=shutil.ignore_patterns("__pycache__"))
    models = folder / "conversation_kit" / "domain" / "models.py"
    schema = folder / "conversation_kit_sql" / "schema"
    edit(models, ("    seen_messages: int = 0\n", "    seen_messages: int = 0\n    stars: int = 0\n"))
    edit(
        schema / "tables.py",
        ("        seen_messages: int = _count()\n", "        seen_messages: int = _count()\n        stars: int = _count()\n"),
        (f'SCHEMA_VERSION = "{SCHEMA_VERSION}"', f'SCHEMA_VERSION = "{NEXT}"'),
    )
    (schema / "migrations" / "versions" / f"{NEXT}.py").write_text(REVISION)
    return folder


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh(request.param, tmp_path) as url:
        yield url


async def test_a_column_in_the_model_the_table_and_a_revision_is_read_and_written_everywhere(url: str, next_release: Path) -> None:
    kit = ConversationKit(storage=url, auth=HostAuthenticator(lambda scope: None))
    assert await kit.migrate() == Migration(None, SCHEMA_VERSION)
    async with kit.lifespan():
        for name in ("ana", "bo"):
            await kit.users.create(name)
        room = await kit.conversations.create()
        member = await kit.members.join(room.id, user_name="ana")
    done = await anyio.run_process(
        [sys.executable, "-W", "error", "-c", CODE, url, room.id, member.id],
        env={**os.environ, "PYTHONPATH": str(next_release)},
        cwd=next_release,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    migrated, before, *read = done.stdout.decode().splitlines()
    assert (migrated, before) == (f"{SCHEMA_VERSION} {NEXT}", "0")
    assert read == ["[(5, 2, 1), (5, 2, 1), (5, 2, 1), (0, 3, 1)]", "[(5, 2)]"]
