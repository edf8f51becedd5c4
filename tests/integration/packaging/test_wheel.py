"""What is installed is all that is needed, and the core needs none of the extras."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

WITHOUT_EXTRAS = """
import sys

EXTRAS = {
    "sqlalchemy", "sqlmodel", "alembic", "psycopg", "coredis", "nats", "uvicorn", "trio", "fastapi", "quart", "pytest", "httpx2"
}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"{name} is an extra", name=name)

sys.meta_path.insert(0, Refuse())

import anyio
import conversation_kit
from conversation_kit import ConfigurationError, ConversationKit, HostAuthenticator
from conversation_kit.demo.pages import routes
from conversation_kit.http.pages.pages import _read

assert conversation_kit.__file__.startswith(sys.argv[1]), conversation_kit.__file__
kit = ConversationKit(storage="memory://", auth=HostAuthenticator(lambda scope: "ana"))

async def main():
    room = await kit.conversations.create()
    assert (await kit.conversations.get(room.id)) == room

anyio.run(main)
assert len(_read("swagger-ui-bundle.js")) > 100_000
assert len(routes()) > 4
assert len(kit.openapi()["paths"]) >= 14
try:
    ConversationKit(storage="sqlite:///x.db", auth=HostAuthenticator(lambda scope: "ana"))
except ConfigurationError as error:
    print(error)
for broker in ("redis://localhost", "nats://localhost", "postgresql://localhost"):
    try:
        ConversationKit(storage="memory://", auth=HostAuthenticator(lambda scope: "ana"), broker=broker)
    except ConfigurationError as error:
        print(error)
"""

MIGRATE = """
import sys
sys.path.insert(0, sys.argv[1])
import conversation_kit_sql
from conversation_kit_sql.schema.upgrade import run_revisions
from sqlalchemy import create_engine

assert conversation_kit_sql.__file__.startswith(sys.argv[1]), conversation_kit_sql.__file__
with create_engine(sys.argv[2]).begin() as connection:
    run_revisions(connection, "conversation_kit_", None, conversation_kit_sql.SCHEMA_VERSION)
    assert conversation_kit_sql.migrate(connection).before == conversation_kit_sql.SCHEMA_VERSION
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (file,) = folder.glob("*.whl")
    return file


def test_the_wheel_holds_all_packages_their_types_and_the_pages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "conversation_kit/py.typed",
        "conversation_kit_sql/py.typed",
        "conversation_kit_sql/storage.py",
        "conversation_kit_redis/py.typed",
        "conversation_kit_redis/broker.py",
        "conversation_kit_nats/py.typed",
        "conversation_kit_nats/broker.py",
        "conversation_kit_sql/schema/migrations/versions/conversation_kit_0001.py",
        "conversation_kit_sql/schema/migrations/versions/conversation_kit_0002.py",
        "conversation_kit/testing/__init__.py",
        "conversation_kit/http/swagger_ui/swagger-ui-bundle.js",
        "conversation_kit/http/swagger_ui/LICENSE",
        "conversation_kit/demo/static/chat.html",
        "conversation_kit/demo/static/chat.js",
        "conversation_kit/demo/static/chat.css",
        "conversation_kit/demo/static/icon.svg",
    ):
        assert name in names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "benchmarks/"))]


@pytest.fixture(params=["installed", "zipped"])
def place(request: pytest.FixtureRequest, wheel: Path, tmp_path: Path) -> Path:
    """Where Python finds the kit: a folder, or a zip file."""
    if request.param == "zipped":
        return wheel
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    return tmp_path / "site"


def test_the_core_works_without_the_extras_and_says_what_to_install(place: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(place)!r})\n{WITHOUT_EXTRAS}", str(place)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for extra in ("sql", "redis", "nats", "postgres"):
        assert f"pip install 'conversation-kit[{extra}]'" in done.stdout


def test_the_revisions_are_found_where_the_wheel_puts_them(place: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", MIGRATE, str(place), f"sqlite:///{tmp_path}/chat.db"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
