"""Sentences of the README and the pages that the code can be asked about are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from packaging.requirements import Requirement
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient, WebSocketDenialResponse

import conversation_kit
from conversation_kit import Command, ConversationKit, HostAuthenticator, RequestRefused, Signal, StreamLimits
from conversation_kit.domain.values.checks import MAX_JSON
from conversation_kit.hooks import background, bounds, invoking
from conversation_kit.http.beta.api import EXTENSIONS, OPERATIONS
from conversation_kit.http.live.websocket import MAX_FRAME
from conversation_kit.http.serving.mounting import ASGIApp
from conversation_kit.http.serving.request import MAX_BODY
from conversation_kit.testing import StorageContract
from tests.integration.docs.repository import PROJECT, ROOT

INTERNAL = {"dev", "servers", "bench", "docs", "generators"}
"""Extras for the work on the kit itself."""


def words(page: str) -> str:
    """The text of a page, without line breaks."""
    return " ".join((ROOT / page).read_text().split())


def section(page: str, heading: str) -> str:
    return (ROOT / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]


def make_kit() -> ConversationKit:
    return ConversationKit(storage="memory://", auth=HostAuthenticator(lambda scope: "ana", create_users=True))


def test_the_readme_names_what_the_core_needs() -> None:
    (sentence,) = re.findall(r"The core needs (.*?)\.", words("README.md"))
    named = {name.lower() for name in re.split(r", | and ", sentence)}
    assert named == {Requirement(one).name for one in PROJECT["dependencies"]}


def test_the_readme_has_every_extra_for_users() -> None:
    named = re.findall(r"^\| `(\w+)` \|", section("README.md", "Install"), re.M)
    assert set(named) == PROJECT["optional-dependencies"].keys() - INTERNAL


@pytest.mark.parametrize("name", ["starlette", "fastapi", "sqlmodel", "pydantic"])
def test_the_readme_names_the_lower_bounds(name: str) -> None:
    extras = [one for each in PROJECT["optional-dependencies"].values() for one in each]
    (bound,) = {
        each.version
        for one in map(Requirement, [*PROJECT["dependencies"], *extras])
        if one.name == name
        for each in one.specifier
        if each.operator == ">=" and "0.130" not in each.version
    }
    assert re.search(rf"{name}(?:,? from)? {re.escape(bound)}\b", section("README.md", "Install").replace("\n", " "), re.IGNORECASE)


def test_hooks_has_every_command_and_every_signal() -> None:
    page = (ROOT / "docs" / "hooks.md").read_text()
    public = {name: getattr(conversation_kit, name) for name in conversation_kit.__all__}
    classes = {name: one for name, one in public.items() if isinstance(one, type)}
    commands = {name for name, one in classes.items() if issubclass(one, Command) and one is not Command}
    signals = {name for name, one in classes.items() if issubclass(one, Signal | RequestRefused) and one is not Signal}
    assert set(re.findall(r"`(\w+)`", page.split("Commands: ")[1].split(". Reads")[0])) == commands
    table = page.split("| signal | has | when |")[1].split("\n\n")[0]
    assert {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])} == signals


def test_figures_of_limits_are_those_of_the_code() -> None:
    assert f"takes {MAX_BODY:,} bytes of body in each request, {MAX_JSON:,} of one stored object" in words("docs/deployment.md")
    assert f"{MAX_FRAME:,} of one WebSocket message" in words("docs/deployment.md")
    limits = StreamLimits()
    assert f"`per_user` ({limits.per_user}; 429 for more), `total` ({limits.total:,} in a process" in words("docs/streams.md")
    assert f"| calls at once, in each event loop | {background.AT_ONCE} |" in words("docs/answers.md")
    assert f"| calls that wait | {background.MOST - background.AT_ONCE} |" in words("docs/answers.md")
    assert f"have {invoking.THREADS} threads each" in words("docs/hooks.md")
    assert f"at most {bounds.MAX_DEPTH} levels, and at most {bounds.MAX_CAUSED:,} signals" in words("docs/hooks.md")


def test_the_contract_has_as_many_tests_as_the_page_says() -> None:
    (least,) = re.findall(r"a suite of more than (\d+) tests", words("docs/storage.md"))
    assert 0 <= len([name for name in dir(StorageContract) if name.startswith("test_")]) - int(least) < 50


def test_the_example_of_a_storage_is_as_long_as_the_page_says() -> None:
    (lines,) = re.findall(r"about (\d+) lines that keep everything", words("docs/storage.md"))
    assert abs(len((ROOT / "examples" / "custom_storage.py").read_text().splitlines()) - int(lines)) < 40


def test_mounting_names_schemas_that_a_merge_could_replace() -> None:
    (named,) = re.findall(r"kit's schemas are plain words: (.*?) and some more", words("docs/mounting.md"))
    assert set(re.findall(r"`(\w+)`", named)) <= make_kit().openapi()["components"]["schemas"].keys()


@pytest.mark.parametrize("path", ["/beta/nowhere", "/beta/users", "/beta/", "/beta/docs"])
def test_a_websocket_on_another_path_than_a_stream_is_a_404(path: str) -> None:
    with TestClient(Starlette(routes=[Mount("/beta", app=make_kit())])) as client:
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(path):
            pass
        assert refused.value.status_code == 404


def test_the_mount_without_a_slash_is_redirected_by_starlette_and_answered_by_the_middleware() -> None:
    with TestClient(Starlette(routes=[Mount("/beta", app=make_kit())])) as client:
        assert client.get("/beta", follow_redirects=False).status_code == 307
        assert client.get("/beta/conversations/").status_code == 404
        assert client.options("/beta/users").status_code == 204
    with TestClient(make_kit().middleware(Starlette(), "/beta")) as client:
        assert client.get("/beta", follow_redirects=False).status_code == 200


def mounted_on_a_router(kit: ASGIApp) -> FastAPI:
    app, router = FastAPI(), APIRouter()
    router.mount("/beta", kit)
    app.mount("/shop", router)
    return app


def mounted_on_a_sub_application(kit: ASGIApp) -> FastAPI:
    app, sub = FastAPI(), FastAPI()
    sub.mount("/beta", kit)
    app.mount("/shop", sub)
    return app


@pytest.mark.parametrize("make", [mounted_on_a_router, mounted_on_a_sub_application])
def test_a_router_or_a_sub_application_of_fastapi_may_have_the_mount(make: object) -> None:
    assert callable(make)
    with TestClient(make(make_kit())) as client:
        made = client.post("/shop/beta/conversations").json()
        assert made["href"] == f"http://testserver/shop/beta/conversations/{made['id']}"


def test_a_prefix_of_a_fastapi_router_is_not_that_of_its_mount() -> None:
    app, router = FastAPI(), APIRouter(prefix="/shop")
    router.mount("/beta", make_kit())
    app.include_router(router)
    with TestClient(app) as client:
        assert client.get("/shop/beta/").status_code == 404


def test_the_files_that_architecture_names_are_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    files = [file for folder in ("conversation_kit", "adapters", "tests") for file in (ROOT / folder).rglob("*.py")]
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", page))
    assert len(named) > 50
    assert {name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in files)} == set()


def test_the_library_takes_nothing_but_types_from_starlette() -> None:
    files = [file for file in (ROOT / "conversation_kit").rglob("*.py") if not {"cli", "demo", "testing"} & set(file.parts)]
    imported = {line for file in files for line in re.findall(r"^(?:from|import) (starlette\S*)", file.read_text(), re.M)}
    assert imported == {"starlette.types"}
    paths = len({operation.path for operation in (*OPERATIONS, *EXTENSIONS)})
    assert f"finding the operation among {paths} paths" in words("docs/architecture.md")


def test_the_loggers_of_the_page_are_those_of_the_code() -> None:
    files = [file for folder in ("conversation_kit", "adapters") for file in (ROOT / folder).rglob("*.py") if "cli" not in Path(file).parts]
    used = {name for file in files for name in re.findall(r'getLogger\("([\w.]+)"\)', file.read_text())}
    assert used == set(re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs" / "logging.md").read_text(), re.M))
