"""Clients that well-known generators make of the OpenAPI document: without a warning, and of use."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.support.npm import install
from tests.support.world import APP, World, make_kit, open_world, token

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
PACKAGE = "conversation_api_client"
SECONDS = 120.0


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("openapi") / "openapi.json"
    file.write_text(json.dumps(make_kit().openapi("/beta")))
    return file


def run(*command: str | Path, cwd: Path) -> str:
    """What a command says; it has to end well."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def generated(document: Path) -> Path:
    """The folder of the generated Python package."""
    pytest.importorskip("openapi_python_client", reason="openapi-python-client of the extra 'generators' is not installed")
    run(
        BIN / "openapi-python-client",
        "generate",
        "--fail-on-warning",
        "--meta",
        "none",
        "--path",
        document,
        "--output-path",
        PACKAGE,
        cwd=document.parent,
    )
    return document.parent


def test_openapi_python_client_makes_a_client_that_is_rightly_typed(generated: Path) -> None:
    # Not what is the same in all clients, which the generator's own authors answer for.
    made = [f"{PACKAGE}/models", f"{PACKAGE}/api"]
    options = ["--strict", "--follow-imports", "silent", "--cache-dir", str(generated / "cache")]
    run(sys.executable, "-m", "mypy", *options, *made, cwd=generated)


@pytest.mark.anyio
async def test_the_python_client_chats(generated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    httpx = pytest.importorskip("httpx")
    monkeypatch.syspath_prepend(str(generated))

    def of(name: str) -> Any:
        return importlib.import_module(f"{PACKAGE}.{name}")

    models = of("models")
    async with open_world() as world:
        transport = httpx.ASGITransport(app=Starlette(routes=[Mount("/beta", app=world.kit)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://host.test", headers=bearer(world)) as http:
            client = of("client").Client(base_url="http://host.test").set_async_httpx_client(http)
            room = await of("api.conversation.create_conversation").asyncio(
                client=client, body=models.ConversationBody(display_name="Support")
            )
            joining = models.MemberBody(action=models.MemberBodyAction.JOIN, user_name="ana")
            member = await of("api.member.create_member").asyncio(room.id, client=client, body=joining)
            said = models.EventBody(type_="text", body=models.EventBodyBodyType0.from_dict({"text": "Hello"}))
            await of("api.event.create_event").asyncio(room.id, client=client, body=said)
            events = await of("api.event.get_events").asyncio(room.id, client=client)
            missing = await of("api.conversation.retrieve_conversation").asyncio("CON-none", client=client)
    assert [(event.type_, event.from_, event.body.to_dict().get("text")) for event in events] == [
        ("member:joined", member.id, None),
        ("text", member.id, "Hello"),
    ]
    assert (missing.code, missing.status) == ("conversation:error:not-found", 404)


def bearer(world: World) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(APP, 'ana')}"}


def test_openapi_typescript_makes_types_that_a_program_compiles_with(document: Path, tmp_path: Path) -> None:
    source = HERE / "typescript"
    folder = install(source / "package.json")
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    (tmp_path / "package.json").write_text("{}")
    shutil.copy(source / "chat.ts", tmp_path)
    tools = folder / "node_modules" / ".bin"
    said = run(tools / "openapi-typescript", document, "--output", "api.d.ts", cwd=tmp_path)
    assert "warn" not in said.lower(), said
    run(
        tools / "tsc",
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--moduleResolution",
        "nodenext",
        "chat.ts",
        cwd=tmp_path,
    )
