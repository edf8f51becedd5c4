"""What the documentation shows runs, and what it links to exists.

Each page is one program: its Python blocks run from top to bottom in one namespace. What a block mounts as ``app`` has to answer at
``/beta``, and what it defines as ``async def main()`` runs on asyncio and on trio.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypercorn.config import Config

from conversation_kit import ConversationKit
from conversation_kit.cli.main import make_parser
from conversation_kit.domain import errors
from conversation_kit.domain.errors import RequestError
from conversation_kit.http.beta.api import OPERATIONS
from conversation_kit.http.live.websocket import MAX_MESSAGE
from conversation_kit.http.serving.errors import HTTPError, status_of
from conversation_kit.http.serving.mounting import ASGIApp
from tests.integration.docs.repository import ROOT, file_of
from tests.support.snippets import blocks

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\((?P<link>[^)\s]+)\)|^\[[\w-]+\]: (?P<target>\S+)$", re.M)
ROW = re.compile(r"^\|(.+)\|$", re.M)
INSTALLED_ELSEWHERE = ("pip", "uvicorn", "hypercorn", "granian", "gunicorn", "curl", "alembic", "pytest")
"""Programs whose commands are shown and not run here; servers are run by tests/integration/hosts."""


SERVERS = ("uvicorn", "hypercorn", "granian")


def named(page: Path) -> str:
    return page.name


def cells(page: str) -> list[list[str]]:
    """The rows of a page's tables, without quotes of code."""
    return [[cell.strip().strip("`") for cell in row.split("|")] for row in ROW.findall((ROOT / "docs" / page).read_text())]


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.anyio
@pytest.mark.parametrize("page", [page for page in PAGES if any(block.language == "python" for block in blocks(page))], ids=named)
async def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page):
        if block.language != "python" or block.skipped or block.source:
            continue
        # Empty lines before it, so that a traceback names the page's own line.
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
        app, main = namespace.get("app"), namespace.get("main")
        exec(code, namespace)
        if namespace.get("app") is not app:
            await _answers(namespace["app"])
        if namespace.get("main") is not main:
            await namespace["main"]()
    for value in namespace.values():
        if isinstance(value, ConversationKit):
            await value.close()


async def _answers(app: ASGIApp) -> None:
    async with _client(app) as client:
        response = await client.get("/beta/")
        assert (response.status_code, response.json()["version"]) == (200, "1.6.0")
        unknown = await client.get("/beta/nowhere")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "http:error:not-found")


def _client(app: ASGIApp) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost:8000")


@pytest.mark.anyio
async def test_the_first_example_does_what_its_commands_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = next(block for block in blocks(ROOT / "README.md") if block.language == "python")
    namespace: dict[str, Any] = {"__name__": "app"}
    exec(compile(first.text, "app.py", "exec", dont_inherit=True), namespace)
    ana = {"X-User": "ana"}
    async with namespace["kit"].lifespan(), _client(namespace["app"]) as client:
        assert (await client.post("/beta/conversations")).status_code == 401
        room = (await client.post("/beta/conversations", headers=ana)).json()["href"]
        joined = await client.post(f"{room}/members", headers=ana, json={"user_name": "ana", "action": "join"})
        assert joined.status_code == 201
        events = (await client.get(f"{room}/events", headers=ana)).json()
        assert [(event["type"], event["body"].get("text")) for event in events] == [("member:joined", None), ("text", "Welcome, ana!")]


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.language == "console" for block in blocks(page))], ids=named)
def test_commands_are_right(page: Path, tmp_path: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for block in blocks(page):
        if block.language != "console" or block.skipped:
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            assert line.startswith("$ "), f"{page.name}:{block.line}: {line!r} is no command"
            program, *arguments = shlex.split(line[2:])
            if program == "make":
                assert targets.issuperset(arguments), line
            elif program == "conversation-kit":
                _conversation_kit(arguments, tmp_path)
            elif program == "pip":
                wanted = re.findall(r"conversation-kit\[(.*?)\]", line)
                assert wanted, line
                assert extras.keys() >= {extra for names in wanted for extra in names.split(",")}, line
            else:
                assert program in INSTALLED_ELSEWHERE, line
                if program in SERVERS:
                    assert _options_of(program) >= {word for word in arguments if word.startswith("--")}, line


@lru_cache
def _options_of(program: str) -> set[str]:
    """The options that an installed server has."""
    done = subprocess.run([Path(sys.executable).with_name(program), "--help"], capture_output=True, text=True, timeout=60, check=True)
    return set(re.findall(r"--[a-z0-9-]+", done.stdout))


def test_the_settings_of_servers_that_pages_name_exist() -> None:
    text = (ROOT / "docs" / "deployment.md").read_text()
    named = set(re.findall(r"`(--(?:ws|http1)-[a-z-]+)", text))
    assert {"--ws-max-size", "--ws-per-message-deflate", "--http1-header-read-timeout"} == named
    assert named <= _options_of("uvicorn") | _options_of("granian")
    for setting in re.findall(r"`(\w+) = 70000`", text):
        assert hasattr(Config(), setting)
    for limit in re.findall(r"70[,]?000", text):
        assert int(limit.replace(",", "")) == MAX_MESSAGE


def _conversation_kit(arguments: list[str], folder: Path) -> None:
    """Run what ends by itself; of what serves see that its options exist."""
    if arguments[0] in ("keygen", "token"):
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        done = subprocess.run(["conversation-kit", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("\n") == 1
    else:
        make_parser().parse_args(arguments)


def linked(page: Path) -> Iterator[tuple[Path, str]]:
    """The files of this repository that a page links to, by a path or by the repository's address, and the headings there."""
    for found in LINK.finditer(page.read_text()):
        path, _, anchor = (found["link"] or found["target"]).partition("#")
        file = file_of(path) if path.startswith("https://") else (page.parent / path).resolve() if path else page
        if file is not None and not path.startswith("http://"):
            yield file, anchor


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for file, anchor in linked(page):
        assert file.is_relative_to(ROOT), file
        assert file.exists(), f"{page.name} links to {file}, which is not there"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
            assert anchor in map(slug, headings), f"{page.name}: {file.name}#{anchor}"


def test_every_page_can_be_found_from_the_readme() -> None:
    assert {file for file, _ in linked(ROOT / "README.md")} >= {page for page in PAGES if page.name not in ("README.md", "index.md")}


def test_what_is_said_to_be_from_a_file_is_there() -> None:
    parts = [block for page in PAGES for block in blocks(page) if block.source]
    assert parts
    for block in parts:
        assert block.text in (ROOT / str(block.source)).read_text(), f"{block.page}:{block.line} is not in {block.source} any more"


def test_the_storage_of_the_tutorial_passes_its_tests(tmp_path: Path) -> None:
    texts = [block.text for block in blocks(ROOT / "docs" / "storage.md") if block.language == "python" and not block.source]
    storage = next(text for text in texts if "class MyStorage(MemoryStorage)" in text)
    (tmp_path / "my_storage.py").write_text(f"from pathlib import Path\n{storage}")
    tests = next(text for text in texts if "class TestMyStorage" in text)
    (tmp_path / "test_my_storage.py").write_text(f"from pathlib import Path\nfrom my_storage import MyStorage\n{tests}")
    command = [sys.executable, "-m", "pytest", "-q", "-k", "asyncio and (user or dies or cancelled)", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert " passed, " in done.stdout


def test_skipped_blocks_are_few() -> None:
    assert sum(block.skipped for page in PAGES for block in blocks(page)) <= 3


def test_every_fence_is_closed_and_names_its_language() -> None:
    for page in PAGES:
        fences = re.findall(r"^```.*$", page.read_text(), re.M)
        assert len(fences) == 2 * len(list(blocks(page))), page.name


def test_the_table_of_operations_is_that_of_the_code() -> None:
    documented = [tuple(row) for row in cells("api.md") if len(row) == 4 and row[1] in ("GET", "POST", "PUT", "DELETE")]
    assert documented == [(one.id, one.method, one.path, str(one.status)) for one in OPERATIONS]


def test_the_table_of_errors_is_that_of_the_code() -> None:
    rows = [row for row in cells("api.md") if len(row) == 3 and row[0].isdigit() and ":error:" in row[1]]
    for status, code, name in rows:
        if int(status) < 500:
            class_ = getattr(errors, name) if name else HTTPError
            assert issubclass(class_, RequestError)
            error = class_.__new__(class_)
            error.code = code
            assert status_of(error) == int(status), code
    documented = set(
        re.findall(r"`([a-z]+:error:[a-z-]+)`", (ROOT / "docs" / "api.md").read_text())
    )  # one ends no stream: it is in the text
    raised = {
        code
        for file in (ROOT / "conversation_kit").rglob("*.py")
        for code in re.findall(r'"([a-z]+:error:[a-z-]+)"', file.read_text())
        if not {"testing", "demo"} & set(file.parts)  # the demo is a host, with errors of its own
    }
    assert raised - documented == set()
