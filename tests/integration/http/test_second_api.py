"""A second API beside the first one, made of a value."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from conversation_kit import ConfigurationError, MemoryStorage
from conversation_kit.auth import make_token
from conversation_kit.http.beta.api import BETA
from conversation_kit.http.serving.api import API, Operation, Wire
from conversation_kit.http.serving.request import Request
from conversation_kit.http.serving.response import Reply, Response
from tests.integration.hosts.lifespans import lifespan_of
from tests.integration.live.connections import socket
from tests.support.world import APP, World, keys, make_kit, open_world

pytestmark = pytest.mark.anyio


async def count(request: Request[str]) -> Reply:
    page = await request.kit.events.page(request.params["room"])
    return Response.json({"words": len(page.ids), "self": request.links + request.path})


async def say(request: Request[str]) -> Reply:
    event = await request.kit.events.create(request.params["room"], "text", {"text": (await request.raw()).decode()})
    return Response.json(event.id, 201)


TOY = API(
    "toy",
    "0.1",
    "Toy <API>",
    "Words in rooms",
    operations=(
        Operation("countWords", "GET", "/rooms/{room}", "Room", "Count words", count, dict[str, Any]),
        Operation("sayWord", "POST", "/rooms/{room}", "Room", "Say a word", say, int, 201, query=("loud",)),
    ),
    wire=Wire(lambda problem: {"oops": problem.code}, dict[str, str]),
    acl_versions=("toy",),
)


class Opened(MemoryStorage):
    """A storage that counts how often it is open."""

    times = 0

    async def open(self) -> None:
        self.times += 1

    async def close(self) -> None:
        self.times -= 1


async def ask(world: World, method: str, path: str, token: str, *, public_url: str | None = None, content: str = "") -> httpx2.Response:
    apis = world.kit.serving({"/beta": BETA, "/toy": TOY}, public_url=public_url)
    host = Starlette(routes=[Mount("/chat", apis)])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=host), base_url="http://host.test") as client:
        return await client.request(method, path, headers={"Authorization": f"Bearer {token}"}, content=content)


async def test_two_apis_of_a_kit_write_into_one_log() -> None:
    async with open_world() as world:
        ana, room = world.token("ana"), world.conversation
        before = (await ask(world, "GET", f"/chat/toy/rooms/{room}", ana)).json()
        said = await ask(world, "POST", f"/chat/toy/rooms/{room}", ana, content="hello")
        assert (said.status_code, said.json()) == (201, before["words"] + 1)
        event = (await ask(world, "GET", f"/chat/beta/conversations/{room}/events/{said.json()}", ana)).json()
        assert event["body"] == {"text": "hello"}
        assert event["href"] == f"http://host.test/chat/beta/conversations/{room}/events/{said.json()}"
        after = (await ask(world, "GET", f"/chat/toy/rooms/{room}", ana)).json()
        assert after == {"words": said.json(), "self": f"http://host.test/chat/toy/rooms/{room}"}
        public = await ask(world, "GET", f"/chat/toy/rooms/{room}", ana, public_url="https://chat.example/api")
        assert public.json()["self"] == f"https://chat.example/api/toy/rooms/{room}"


async def test_each_api_has_its_own_errors_and_the_rights_are_the_same() -> None:
    async with open_world() as world:
        for path in (f"rooms/{world.conversation}", "rooms/CON-none"):
            refused = await ask(world, "GET", f"/chat/toy/{path}", world.token("dee"))
            assert (refused.status_code, refused.json()) == (404, {"oops": "conversation:error:not-found"})
        assert (await ask(world, "GET", "/chat/toy/nothing", world.token("ana"))).json() == {"oops": "http:error:not-found"}
        assert (await ask(world, "PUT", "/chat/toy/rooms/1", world.token("ana"))).headers["allow"] == "GET, HEAD, OPTIONS, POST"
        unknown = await ask(world, "POST", "/chat/toy/rooms/1?soft=1", world.token("ana"))
        assert (unknown.status_code, unknown.json()) == (400, {"oops": "http:error:validation-fail"})
        assert (await ask(world, "GET", "/chat/beta/nothing", world.token("ana"))).json()["code"] == "http:error:not-found"
        assert (await ask(world, "GET", "/chat/v9/users", world.token("ana"))).json()["code"] == "http:error:not-found"


async def test_an_access_list_names_the_paths_of_the_api_that_it_is_for() -> None:
    async with open_world() as world:
        acl = {"paths": {"/toy/rooms/**": {"methods": ["GET"]}}}
        token = make_token(keys(APP)[0], APP, sub="ana", ttl=60, acl=acl)
        for method, path, status in (
            ("GET", f"toy/rooms/{world.conversation}", 200),
            ("POST", f"toy/rooms/{world.conversation}", 403),
            ("GET", f"beta/conversations/{world.conversation}/events", 403),
        ):
            assert (await ask(world, method, f"/chat/{path}", token)).status_code == status, path


async def test_each_api_has_a_document_of_its_own() -> None:
    async with open_world() as world:
        document = (await ask(world, "GET", "/chat/toy/openapi.json", "")).json()
        assert document["info"]["title"] == "Toy <API>"
        assert {method for path in document["paths"].values() for method in path} == {"get", "post"}
        assert document["servers"] == [{"url": "http://host.test/chat/toy"}]
        assert "<title>Toy &lt;API&gt;</title>" in (await ask(world, "GET", "/chat/toy/docs", "")).text
        beta = (await ask(world, "GET", "/chat/beta/openapi.json", "")).json()
        assert beta["paths"] == world.kit.openapi()["paths"]


async def test_a_websocket_finds_its_api_and_no_other() -> None:
    async with open_world() as world:
        apis = world.kit.serving({"/beta": BETA, "/beta/toy": TOY})
        async with socket(world, app=apis) as connection:
            assert connection.sent[0]["type"] == "websocket.accept"
            await connection.say({"type": "text", "body": {"text": "hello"}, "tid": 1})
            await connection.until(lambda: len(connection.frames) > 2)
            answer = next(frame for frame in connection.frames if frame.get("rid") == 1)
            assert answer["href"] == f"http://host.test/beta{world.path}/events/{answer['id']}"
        for path, app in (("/toy/rooms/1", apis), ("/users", apis), ("", world.kit.serving({"/v1": TOY}))):
            async with socket(world, path=path, app=app) as connection:
                assert connection.status == 404, path
                assert "http:error:not-found" in connection.body.decode(), path


async def test_the_servers_lifespan_starts_and_stops_the_kit() -> None:
    storage = Opened()
    kit = make_kit(storage)
    async with lifespan_of(kit.serving({"/toy": TOY})) as lifespan:
        assert await lifespan.ask("startup") == {"type": "lifespan.startup.complete"}
        assert storage.times == 1
        assert await lifespan.ask("shutdown") == {"type": "lifespan.shutdown.complete"}
        assert storage.times == 0


@pytest.mark.parametrize("prefix", ["toy", "/toy/", "/"])
def test_a_prefix_that_no_path_begins_with_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        make_kit().serving({prefix: TOY})
