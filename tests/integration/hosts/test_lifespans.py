"""When the kit opens and closes its storage in a host."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import anyio
import pytest
from quart import Quart
from quart_trio import QuartTrio
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from conversation_kit import ConfigurationError, ConversationKit, StorageUnavailable
from conversation_kit.http.serving.mounting import ASGIApp, Receive, Scope, Send
from tests.integration.hosts.hosts import ADMIN, NotingStorage, client_of, noting_kit, raw
from tests.integration.hosts.lifespans import lifespan_of, started
from tests.support.world import make_kit

pytestmark = pytest.mark.anyio

ORDER = ["kit started", "host started", "host stopped", "kit stopped"]


def starlette_host(notes: list[str], *, broken: bool = False) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if broken:
            raise RuntimeError("the host is broken")
        notes.append("host started")
        yield
        notes.append("host stopped")

    return Starlette(lifespan=lifespan)


def quart_host(notes: list[str], *, broken: bool = False) -> ASGIApp:
    app = Quart("host")

    async def start() -> None:
        if broken:
            raise RuntimeError("the host is broken")
        notes.append("host started")

    async def stop() -> None:
        notes.append("host stopped")

    app.before_serving(start)
    app.after_serving(stop)
    return app


def quart_trio_host(notes: list[str], *, broken: bool = False) -> ASGIApp:
    app = QuartTrio("host")

    async def start() -> None:
        if broken:
            raise RuntimeError("the host is broken")
        notes.append("host started")

    async def stop() -> None:
        notes.append("host stopped")

    app.before_serving(start)
    app.after_serving(stop)
    return app


def raw_host(notes: list[str], *, broken: bool = False) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await raw(scope, receive, send)
            return
        await receive()
        if broken:
            await send({"type": "lifespan.startup.failed", "message": "the host is broken"})
            return
        notes.append("host started")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        notes.append("host stopped")
        await send({"type": "lifespan.shutdown.complete"})

    return app


class Host:
    """A kind of host. Each runs on some event loops only."""

    def __init__(self, make: Callable[..., ASGIApp], *backends: str) -> None:
        self.make = make
        self.backends = backends


KINDS = {
    "starlette": Host(starlette_host, "asyncio", "trio"),
    "quart": Host(quart_host, "asyncio"),
    "quart-trio": Host(quart_trio_host, "trio"),
    "raw": Host(raw_host, "asyncio", "trio"),
}


@pytest.fixture(params=[pytest.param((backend, kind), id=f"{kind}-{backend}") for kind, host in KINDS.items() for backend in host.backends])
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    backend, kind = request.param
    return backend, kind


class TestMiddleware:
    """``kit.middleware`` around hosts that have a lifespan."""

    @pytest.fixture
    def anyio_backend(self, place: tuple[str, str]) -> str:
        return place[0]

    @pytest.fixture
    def make(self, place: tuple[str, str]) -> Callable[..., ASGIApp]:
        return KINDS[place[1]].make

    async def test_starts_before_the_host_and_stops_after_it(self, make: Callable[..., ASGIApp]) -> None:
        notes: list[str] = []
        app = noting_kit(notes).middleware(make(notes), "/beta")
        async with started(app):
            assert notes == ORDER[:2]
            async with client_of(app) as client:
                assert (await client.get("/beta/conversations")).status_code == 200
        assert notes == ORDER

    async def test_a_kit_that_cannot_start_stops_the_servers_start(self, make: Callable[..., ASGIApp]) -> None:
        notes: list[str] = []
        app = noting_kit(notes, ConfigurationError("The tables are missing.")).middleware(make(notes), "/beta")
        async with lifespan_of(app) as lifespan:
            assert await lifespan.ask("startup") == {"type": "lifespan.startup.failed", "message": "The tables are missing."}
        assert notes == []

    async def test_is_stopped_when_the_host_cannot_start(self, make: Callable[..., ASGIApp]) -> None:
        notes: list[str] = []
        app = noting_kit(notes).middleware(make(notes, broken=True), "/beta")
        async with lifespan_of(app) as lifespan:
            answer = await lifespan.ask("startup")
            assert answer is not None
            assert answer["type"] == "lifespan.startup.failed"
            assert "the host is broken" in answer["message"]
            assert notes == ["kit started", "kit stopped"]
        assert notes == ["kit started", "kit stopped"]

    async def test_is_stopped_when_the_server_gives_up_without_a_word(self, make: Callable[..., ASGIApp]) -> None:
        notes: list[str] = []
        app = noting_kit(notes).middleware(make(notes), "/beta")
        async with lifespan_of(app) as lifespan:
            await lifespan.ask("startup")
            lifespan.scope.cancel()
        assert notes[-1] == "kit stopped"
        assert notes.count("kit stopped") == 1

    async def test_starts_again(self, make: Callable[..., ASGIApp]) -> None:
        notes: list[str] = []
        kit = noting_kit(notes)
        for _ in range(2):
            async with started(kit.middleware(make(notes), "/beta")):
                pass
        assert notes == ORDER * 2


async def ignore(scope: Scope, receive: Receive, send: Send) -> None:
    """A host that returns at once for what it does not know."""
    if scope["type"] == "http":
        await raw(scope, receive, send)


@pytest.mark.parametrize("host", [raw, ignore], ids=["raises", "returns"])
class TestHostWithoutLifespan:
    """``kit.middleware`` around a host that has none."""

    async def test_the_kit_starts_and_stops_with_the_server(self, host: ASGIApp) -> None:
        notes: list[str] = []
        app = noting_kit(notes).middleware(host, "/beta")
        async with started(app):
            assert notes == ["kit started"]
            async with client_of(app) as client:
                assert (await client.get("/betamax")).status_code == 200
        assert notes == ["kit started", "kit stopped"]

    async def test_a_kit_that_cannot_start_stops_the_servers_start(self, host: ASGIApp) -> None:
        app = noting_kit([], ConfigurationError("no tables")).middleware(host, "/beta")
        async with lifespan_of(app) as lifespan:
            assert await lifespan.ask("startup") == {"type": "lifespan.startup.failed", "message": "no tables"}

    async def test_a_storage_that_cannot_answer_now_does_not_stop_the_servers_start(
        self, host: ASGIApp, caplog: pytest.LogCaptureFixture
    ) -> None:
        storage = NotingStorage(broken=StorageUnavailable("no database"))
        app = make_kit(storage).middleware(host, "/beta")
        async with started(app), client_of(app) as client:
            assert "no database" in caplog.text
            assert (await client.get("/beta/conversations")).status_code == 503
            storage.broken = None
            assert (await client.get("/beta/conversations")).status_code == 200
            assert storage.notes == ["kit started"]
        assert storage.notes == ["kit started", "kit stopped"]

    async def test_the_kit_is_stopped_when_the_server_gives_up_without_a_word(self, host: ASGIApp) -> None:
        notes: list[str] = []
        async with lifespan_of(noting_kit(notes).middleware(host, "/beta")) as lifespan:
            await lifespan.ask("startup")
            lifespan.scope.cancel()
        assert notes == ["kit started", "kit stopped"]


async def test_a_host_that_fails_at_its_end() -> None:
    notes: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        raise RuntimeError("the host fails at its end")

    async with lifespan_of(noting_kit(notes).middleware(Starlette(lifespan=lifespan), "/beta")) as life:
        await life.ask("startup")
        answer = await life.ask("shutdown")
        assert answer is not None
        assert answer["type"] == "lifespan.shutdown.failed"
        assert notes == ["kit started", "kit stopped"]
        await life.ended.wait()
        assert isinstance(life.error, RuntimeError)
    assert notes == ["kit started", "kit stopped"]


@pytest.mark.parametrize("host", [starlette_host([]), raw], ids=["starlette", "raw"])
async def test_a_storage_that_cannot_be_closed_fails_the_shutdown(host: ASGIApp) -> None:
    class Unclosable(NotingStorage):
        async def close(self) -> None:
            raise StorageUnavailable("cannot flush")

    async with lifespan_of(make_kit(Unclosable()).middleware(host, "/beta")) as life:
        assert await life.ask("startup") == {"type": "lifespan.startup.complete"}
        assert await life.ask("shutdown") == {"type": "lifespan.shutdown.failed", "message": "cannot flush"}


async def test_the_state_of_the_hosts_lifespan_reaches_its_requests() -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        yield {"greeting": "hello"}

    seen: list[str] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["state"]["greeting"])
        await raw(scope, receive, send)

    app = make_kit().middleware(Starlette(routes=[Mount("/", app=page)], lifespan=lifespan), "/beta")
    with TestClient(app) as client:
        client.get("/betamax")
    assert seen == ["hello"]


async def test_the_kit_served_alone_has_a_lifespan() -> None:
    notes: list[str] = []
    kit = noting_kit(notes)
    async with started(kit):
        assert notes == ["kit started"]
        async with client_of(kit) as client:
            assert (await client.get("/conversations")).status_code == 200
    assert notes == ["kit started", "kit stopped"]


async def test_the_kit_served_alone_that_cannot_start_says_why(caplog: pytest.LogCaptureFixture) -> None:
    async with lifespan_of(noting_kit([], ConfigurationError("The tables are missing."))) as lifespan:
        assert await lifespan.ask("startup") == {"type": "lifespan.startup.failed", "message": "The tables are missing."}
    assert [record.levelname for record in caplog.records if record.name == "conversation_kit"] == ["ERROR"]


async def test_as_the_lifespan_of_a_starlette_host() -> None:
    notes: list[str] = []
    kit = noting_kit(notes)
    app = Starlette(routes=[Mount("/beta", app=kit)], lifespan=kit.lifespan)
    async with started(app):
        assert notes == ["kit started"]
        async with client_of(app) as client:
            assert (await client.get("/beta/conversations")).status_code == 200
    assert notes == ["kit started", "kit stopped"]


def test_in_starlettes_test_client(anyio_backend_name: str) -> None:
    notes: list[str] = []
    kit = noting_kit(notes)
    app = Starlette(routes=[Mount("/beta", app=kit)], lifespan=kit.lifespan)
    backend: Literal["asyncio", "trio"] = "trio" if anyio_backend_name == "trio" else "asyncio"
    for _ in range(2):
        with TestClient(app, backend=backend, headers=ADMIN) as client:
            made = client.post("/beta/conversations").json()
            assert made["href"] == f"http://testserver/beta/conversations/{made['id']}"
            assert client.get(made["href"]).status_code == 200
    assert notes == ["kit started", "kit stopped"] * 2


async def test_a_lifespan_may_be_entered_more_than_once() -> None:
    notes: list[str] = []
    kit = noting_kit(notes)
    async with kit.lifespan(), kit.lifespan():
        async with kit.lifespan():
            assert notes == ["kit started"]
        await kit.conversations.create("in the middle")
        assert notes == ["kit started"]
    assert notes == ["kit started", "kit stopped"]
    async with kit.lifespan():
        assert notes == ["kit started", "kit stopped", "kit started"]


async def test_without_any_lifespan_the_first_request_opens_the_storage() -> None:
    notes: list[str] = []
    app = Starlette(routes=[Mount("/beta", app=noting_kit(notes))])
    async with client_of(app) as client:
        assert (await client.get("/beta/openapi.json")).status_code == 200
        assert notes == []
        for _ in range(3):
            assert (await client.get("/beta/conversations")).status_code == 200
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(client.get, "/beta/conversations")
    assert notes == ["kit started"]


async def test_requests_while_the_storage_opens_wait_for_it() -> None:
    class Slow(NotingStorage):
        async def open(self) -> None:
            await anyio.sleep(0.05)
            await super().open()

    storage = Slow()
    async with client_of(make_kit(storage)) as client, anyio.create_task_group() as group:

        async def get() -> None:
            assert (await client.get("/conversations")).status_code == 200

        for _ in range(10):
            group.start_soon(get)
    assert storage.notes == ["kit started"]


@pytest.mark.parametrize(
    ("broken", "status"), [(StorageUnavailable("no database"), 503), (ConfigurationError("The tables are missing."), 500)]
)
async def test_a_storage_that_opens_late(broken: Exception, status: int, caplog: pytest.LogCaptureFixture) -> None:
    storage = NotingStorage(broken=broken)
    async with client_of(make_kit(storage)) as client:
        for _ in range(2):
            answer = await client.get("/conversations")
            assert answer.status_code == status
            assert answer.json()["status"] == status
            assert str(broken) not in answer.text
        assert str(broken) in caplog.text
        storage.broken = None
        assert (await client.get("/conversations")).status_code == 200


async def test_a_start_that_fails_is_not_counted() -> None:
    storage = NotingStorage(broken=ConfigurationError("no tables"))
    kit = make_kit(storage)
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            await kit.start()
    storage.broken = None
    async with kit.lifespan():
        assert storage.notes == ["kit started"]
    assert storage.notes == ["kit started", "kit stopped"]


async def test_a_start_that_is_cancelled_is_not_counted() -> None:
    class Stuck(NotingStorage):
        stuck = True

        async def open(self) -> None:
            if self.stuck:
                await anyio.sleep_forever()
            await super().open()

    storage = Stuck()
    kit = make_kit(storage)
    with anyio.move_on_after(0.05):
        await kit.start()
    storage.stuck = False
    async with kit.lifespan():
        pass
    assert storage.notes == ["kit started", "kit stopped"]


async def test_a_stop_too_many_does_no_harm() -> None:
    notes: list[str] = []
    kit = noting_kit(notes)
    await kit.stop()
    async with kit.lifespan():
        async with kit.lifespan():
            pass
        assert notes == ["kit started"]
    assert notes == ["kit started", "kit stopped"]


async def test_a_lazily_opened_kit_stays_open_until_it_is_closed() -> None:
    notes: list[str] = []
    kit = noting_kit(notes)
    async with client_of(kit) as client:
        await client.get("/conversations")
    async with kit.lifespan():
        pass
    assert notes == ["kit started"]
    await kit.close()
    assert notes == ["kit started", "kit stopped"]


async def test_a_lifespan_that_is_cancelled_still_closes_the_storage() -> None:
    class Slow(NotingStorage):
        async def close(self) -> None:
            await anyio.lowlevel.checkpoint()
            await super().close()

    storage = Slow()
    kit = make_kit(storage)
    with anyio.CancelScope() as scope:
        async with kit.lifespan():
            scope.cancel()
            await anyio.sleep_forever()
    assert storage.notes == ["kit started", "kit stopped"]


async def test_an_unknown_scope_is_refused() -> None:
    async def never() -> dict[str, str]:
        raise AssertionError

    async def send(message: object) -> None:
        raise AssertionError

    with pytest.raises(ConfigurationError, match="telepathy"):
        await make_kit()({"type": "telepathy"}, never, send)


@pytest.fixture(autouse=True)
def quiet_quart() -> None:
    """Quart installs handlers of its own, and logs what its hosts raise."""
    logging.getLogger("host").setLevel(logging.CRITICAL)


def test_one_kit_on_two_event_loops_in_turn() -> None:
    storage = NotingStorage()
    kit: ConversationKit = make_kit(storage)

    async def visit() -> None:
        async with client_of(kit) as client:
            assert (await client.post("/conversations")).status_code == 200

    anyio.run(visit)
    anyio.run(visit, backend="trio")
    assert storage.notes == ["kit started"]
