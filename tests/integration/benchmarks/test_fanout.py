from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from benchmarks.fanout import Fanout, share, verdict
from benchmarks.listening import Crowd, listening, publish
from benchmarks.load import Outcome
from benchmarks.publishing import DirectApp, publisher
from benchmarks.rooms import PREFIX, plan
from benchmarks.wholeway import Way
from benchmarks.wire import MARK, TEXT
from conversation_kit.domain.events import Event
from conversation_kit.domain.values.epochs import FIRST_EPOCH
from conversation_kit.domain.values.times import now
from conversation_kit.http.live import sse, websocket
from conversation_kit.http.serving.mounting import Message
from conversation_kit.live.topics import Published


class Speaker(asyncio.Protocol):
    """Says these pieces to whoever asks, in turns of the event loop, and goes if it ``ends``."""

    def __init__(self, pieces: Sequence[bytes], ends: bool) -> None:
        self.pieces = list(pieces)
        self.ends = ends
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.pieces:
            self.transport.write(self.pieces.pop(0))
            asyncio.get_running_loop().call_soon(self.data_received, b"")
        elif self.ends:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set_result(None)


@asynccontextmanager
async def speaking(*pieces: bytes, ends: bool = False) -> AsyncIterator[int]:
    """The port of a server that says this to everybody."""
    speakers: list[Speaker] = []

    def speaker() -> Speaker:
        speakers.append(Speaker(pieces, ends))
        return speakers[-1]

    server = await asyncio.get_running_loop().create_server(speaker, "127.0.0.1", 0)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            await asyncio.gather(*(speaker.gone for speaker in speakers))


async def hear(*pieces: bytes, events: int, connections: int = 1, ends: bool = False) -> Crowd:
    """A crowd that has waited for so many events."""
    async with speaking(*pieces, ends=ends) as port:
        async with listening(port, [b"GET"] * connections) as crowd:
            await crowd.until_arrived(events)
        return crowd


@pytest.mark.parametrize("pieces", [[b"HTTP/1.1 200 OK\r\n\r\n", b"a|", b"b", b"|c|"], [b"HTTP/1.1 101 Go on\r\n\r\na|b|c|"]])
def test_events_are_counted_however_they_are_cut(pieces: list[bytes]) -> None:
    crowd = asyncio.run(hear(*pieces, events=6, connections=2))
    assert [listener.count for listener in crowd.listeners] == [3, 3]
    assert crowd.arrived == 6


def test_one_event_too_many_is_told_of() -> None:
    with pytest.raises(RuntimeError, match="2 events came, where 1 were published"):
        asyncio.run(hear(b"HTTP/1.1 200 OK\r\n\r\n||", events=1))


def test_a_stream_that_is_refused_is_told_of() -> None:
    with pytest.raises(RuntimeError, match="429 Too many"):
        asyncio.run(hear(b"HTTP/1.1 429 Too many\r\n\r\n", events=1))


def test_a_stream_that_ends_is_told_of() -> None:
    with pytest.raises(RuntimeError, match="ended after 1 events"):
        asyncio.run(hear(b"HTTP/1.1 200 OK\r\n\r\n|", events=2, ends=True))


def test_the_yardstick_sends_what_the_kit_sends() -> None:
    """To everybody who listens, and each event with one mark."""
    ours = Event.compose("app", "CON-1", 1000, type="text", body={"text": TEXT}, timestamp=now(), sender="MEM-1")
    prefix = f"http://127.0.0.1{PREFIX}/conversations/CON-1/events/"

    async def run(kind: str) -> list[Message]:
        direct = DirectApp()
        sent: list[Message] = []
        gone = asyncio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": f"{kind}.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        stream = asyncio.ensure_future(direct({"type": kind, "method": "GET", "path": "/here"}, receive, send))
        await asyncio.sleep(0)
        await direct.publish()
        await direct.publish_at("/here")
        await direct.publish_at("/elsewhere")
        gone.set()
        await stream
        await direct.publish()
        return sent[-2:]

    for kind, module, key in (("http", sse, "body"), ("websocket", websocket, "text")):
        first, second = asyncio.run(run(kind))
        kit = module.message(prefix, FIRST_EPOCH)(Published(ours))
        assert first == second
        assert {name: value for name, value in first.items() if name != key} == {name: value for name, value in kit.items() if name != key}
        theirs = first[key] if isinstance(first[key], bytes) else first[key].encode()
        mine = kit[key] if isinstance(kit[key], bytes) else kit[key].encode()
        assert theirs.count(MARK) == mine.count(MARK) == 1
        # The ids of the conversation, twice in what the yardstick sends, and of the member are 36 characters long instead of one.
        assert len(theirs) - len(mine) == 35 * 2


def test_a_publisher_says_when_it_published() -> None:
    published: list[int] = []

    async def count() -> None:
        published.append(len(published))

    with TestClient(publisher(count, Starlette())) as client:
        once, often = client.post("/publish").json(), client.post("/publish?seconds=0.01").json()
    assert len(once) == 1
    assert len(often) == len(published) - 1
    assert once + often == sorted(once + often)


def test_what_the_publisher_answers_is_read() -> None:
    async def ask(*pieces: bytes) -> list[float]:
        async with speaking(*pieces, ends=True) as port:
            return await publish(port)

    assert asyncio.run(ask(b"HTTP/1.1 200 OK\r\n\r\n[1.5,", b" 2]")) == [1.5, 2]
    with pytest.raises(RuntimeError, match="404 Not Found"):
        asyncio.run(ask(b"HTTP/1.1 404 Not Found\r\n\r\n"))


def test_a_share_is_the_median_of_the_rounds_ratios() -> None:
    ours, direct = Fanout("kit", "sse", 100, [50, 10, 500]), Fanout("direct", "sse", 100, [100, 100, 500])
    assert share(ours, direct) == 0.5
    assert [verdict(0.7), verdict(0.69)] == ["met", "missed"]
    outcomes = [[Outcome(rate, 0.0, 1, 0, 0.0, "") for rate in rates] for rates in ((30, 20), (100, 100))]
    assert Way("sqlite", outcomes[0]).share(Way("bare", outcomes[1])) == 0.25


def test_quantiles_are_of_all_arrivals() -> None:
    fanout = Fanout("kit", "sse", 100, arrivals=[float(number) for number in reversed(range(100))])
    assert fanout.quantile(0.5) == 50
    assert fanout.quantile(0.99) == fanout.quantile(1.0) == 99


def test_every_conversation_has_as_many_members_as_are_asked_for() -> None:
    (_, _), *many, (_, read) = plan(3, 10)
    assert [len(set(users)) for _, users in many] == [10, 10, 10]
    assert len(read) == 2
