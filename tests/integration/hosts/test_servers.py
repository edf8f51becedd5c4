"""Hosts of every kind on real servers: both keep to their own paths, and the storage lives as long as the server."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from tests.integration.hosts.servers import Running, running
from tests.support.world import make_kit

COMBINATIONS = [
    *((host, server) for server in ("uvicorn", "hypercorn", "granian") for host in ("starlette", "fastapi", "quart", "raw")),
    *((host, "hypercorn-trio") for host in ("starlette", "fastapi", "quart-trio", "raw")),
]
NO_PAGE = {
    "starlette": "Not Found",
    "fastapi": '{"detail":"Not Found"}',
    "quart": "<title>404 Not Found</title>",
    "quart-trio": "<title>404 Not Found</title>",
    "raw": "the host has no such page",
}
AHEAD = 2
"""Servers that start while others are tested."""


@pytest.fixture(scope="module")
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[tuple[str, str]], Running]]:
    """The servers that the tests of this run ask for, the next ones started ahead; each of several processes asks for some."""
    parameters = (getattr(item, "callspec", None) for item in request.session.items)
    needed = list(dict.fromkeys(one.params["served"] for one in parameters if one is not None and "served" in one.params))
    launched: dict[tuple[str, str], Running] = {}
    with ExitStack() as stack:

        def take(wanted: tuple[str, str]) -> Running:
            at = needed.index(wanted)
            for host, server in needed[at : at + AHEAD]:
                if (host, server) not in launched:
                    folder = tmp_path_factory.mktemp(f"{host}-on-{server}")
                    launched[host, server] = stack.enter_context(running(host, server, folder))
            return launched[wanted]

        yield take


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-on-".join)
def served(fleet: Callable[[tuple[str, str]], Running], request: pytest.FixtureRequest) -> Iterator[Running]:
    instance = fleet(request.param)
    assert (instance.host, instance.server) == request.param
    instance.wait()
    yield instance
    instance.kill()


def test_the_hosts_own_paths_are_its_own(served: Running) -> None:
    for path in ("/", "/betamax"):
        answer = served.ask("GET", path, None)
        assert answer.status_code == 200
        assert f"the host's {path}" in answer.text
    for path in ("/nothing", "/betamaxx", "/BETA/conversations"):
        answer = served.ask("GET", path, None)
        assert answer.status_code == 404
        assert NO_PAGE[served.host] in answer.text


def test_the_mount_answers_with_and_without_a_slash(served: Running) -> None:
    for path in ("/beta", "/beta/"):
        # Starlette's and FastAPI's own routers send /beta on to /beta/.
        answer = served.ask("GET", path, None, follow_redirects=True)
        assert answer.status_code == 200
        assert answer.json()["_links"]["self"]["href"] == f"{served.url}/beta"
        assert served.ask("HEAD", path, None, follow_redirects=True).content == b""


def test_what_is_made_is_found_at_its_href(served: Running) -> None:
    user = served.ask("POST", "/beta/users", json={"name": "ana"})
    assert user.status_code == 200
    assert user.json()["href"] == f"{served.url}/beta/users/{user.json()['id']}"
    assert served.ask("GET", user.json()["href"]).json()["name"] == "ana"

    room = served.ask("POST", "/beta/conversations", "ana", json={"name": "tea kitchen"}).json()
    assert room["href"] == f"{served.url}/beta/conversations/{room['id']}"
    member = served.ask("POST", f"{room['href']}/members", "ana", json={"user_name": "ana", "action": "join", "channel": {"type": "app"}})
    assert member.status_code == 201, member.text
    assert served.ask("GET", member.json()["href"], "ana").json()["state"] == "joined"
    for text in ("Grüße 🎈", "x" * 40_000):
        made = served.ask("POST", f"{room['href']}/events", "ana", json={"type": "text", "body": {"text": text}})
        assert made.status_code == 201, made.text
        assert served.ask("GET", made.json()["href"], "ana").json()["body"] == {"text": text}

    seen = []
    href: str | None = f"{room['href']}/events?page_size=1"
    while href is not None:
        page = served.ask("GET", href, "ana")
        seen += [event["type"] for event in page.json()]
        href = page.links.get("next", {}).get("url")
    assert seen == ["member:joined", "text", "text"]


@pytest.mark.parametrize(
    ("method", "path", "who", "content", "status", "code"),
    [
        ("GET", "/beta/nothing", "admin", b"", 404, "http:error:not-found"),
        ("GET", "/beta/conversations/CON-none", "admin", b"", 404, "conversation:error:not-found"),
        ("PATCH", "/beta/conversations", "admin", b"", 405, "http:error:method-not-allowed"),
        ("GET", "/beta/conversations", None, b"", 401, "system:error:invalid-token"),
        ("POST", "/beta/conversations", "admin", b'{"name": ', 400, "http:error:validation-fail"),
    ],
)
def test_errors_of_the_kit_are_json(
    served: Running, method: str, path: str, who: str | None, content: bytes, status: int, code: str
) -> None:
    answer = served.ask(method, path, who, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["code"] == code
    assert ("allow" in answer.headers) == (status == 405)


def test_sigterm_ends_it_and_closes_the_storage_and_the_data_stays(served: Running) -> None:
    room = served.ask("POST", "/beta/conversations", json={"name": "what stays"}).json()
    # uvicorn ends as the signal would have ended it.
    assert served.stop() in (0, -signal.SIGTERM), served.output()
    assert "Traceback" not in served.output()
    host_has_lifespan = served.host != "raw"
    assert served.notes() == (
        ["storage opened", "host started", "host stopped", "storage closed"] if host_has_lifespan else ["storage opened", "storage closed"]
    )
    if served.host == "starlette":
        served.launch()
        served.wait()
        assert served.ask("GET", room["href"]).json()["name"] == "what stays"
        served.stop()
    else:
        # The same without the time that a server takes to start.
        assert "what stays" in anyio.run(names_in, served.folder / "chat.db")


async def names_in(file: Path) -> list[str]:
    kit = make_kit(f"sqlite:///{file}")
    async with kit.lifespan():
        return [conversation.name for conversation in (await kit.conversations.list()).items]


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_a_root_path_that_a_proxy_strips_is_in_the_hrefs(tmp_path: Path, server: str) -> None:
    with running("starlette", server, tmp_path, "--root-path", "/site") as served:
        served.wait()
        room = served.ask("POST", "/beta/conversations").json()
        assert room["href"] == f"{served.url}/site/beta/conversations/{room['id']}"
        assert served.ask("GET", f"/beta/conversations/{room['id']}").json()["uuid"] == room["id"]
        assert served.ask("GET", "/betamax", None).status_code == 200
