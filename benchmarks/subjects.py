"""Subjects of the measurements: the requests that go to each server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.rooms import Rooms
from benchmarks.server import Server
from benchmarks.wire import Requests

TUTORIALS = ("fastapi", "django")
BESIDE = 16
"""The number of clients with which the slow yardsticks and the other server are measured."""


@dataclass(frozen=True)
class Subject:
    """``requests`` holds those of each client in turn, or those of all clients in each round when they change ``by_round``.

    ``yardstick`` names the subject that this one is a share of; ``ours`` the kit's that is compared with this one, where this is somebody
    else's. ``only_at`` is the one number of clients that this is measured with.
    """

    name: str
    server: str
    status: int
    requests: Sequence[Sequence[bytes]]
    yardstick: str = ""
    ours: str = ""
    only_at: int | None = None
    by_round: bool = False

    @property
    def related(self) -> set[str]:
        """The names of what has to be measured for this to be compared."""
        return {self.name, self.yardstick, self.ours} - {""}

    def clients(self, number: int, round: int = 0) -> list[Sequence[bytes]]:
        """Return the requests of this many clients."""
        if self.by_round:
            return [self.requests[round % len(self.requests)]] * number
        return [self.requests[index % len(self.requests)] for index in range(number)]


def subjects(requests: Requests, servers: Mapping[str, Server]) -> Iterator[Subject]:
    """Yield all subjects, each yardstick before those that are compared with it."""
    for name, server in servers.items():
        whose, _, database = name.partition(" ")
        if whose == "bare":
            yield from _bare(requests, name, servers["memory"].rooms)
        elif whose == "hypercorn":
            yield from _beside(requests, name, servers["memory"].rooms if database == "bare" else server.rooms, "hypercorn bare")
        elif whose == "mounted":
            yield from _beside(requests, name, server.rooms, "bare")
        elif whose == "raw":
            posts = _posts(requests, server.rooms)
            yield Subject(f"POST event, {name}", name, 201, posts, "POST event, bare", f"POST event, {database}", only_at=1)
        else:
            yield from _stored(requests, name, server.rooms)


def _bare(requests: Requests, server: str, rooms: Rooms) -> Iterator[Subject]:
    yield Subject("POST event, bare", server, 201, _posts(requests, rooms), "POST event, bare")
    yield Subject("GET last 100, bare", server, 200, [[requests.events(rooms.read)]], "GET last 100, bare")


def _beside(requests: Requests, server: str, rooms: Rooms, yardstick: str) -> Iterator[Subject]:
    """Yield the subjects of the kit served in another way."""
    post, get = f"POST event, {yardstick}", f"GET last 100, {yardstick}"
    yield Subject(f"POST event, {server}", server, 201, _posts(requests, rooms), post, only_at=BESIDE)
    yield Subject(f"GET last 100, {server}", server, 200, [[requests.events(rooms.read)]], get, only_at=BESIDE)


def _stored(requests: Requests, server: str, rooms: Rooms) -> Iterator[Subject]:
    """Yield the subjects of the kit, or of a tutorial's app, on a storage."""
    whose, _, database = server.partition(" ")
    other = whose in TUTORIALS
    only_at = BESIDE if other else None
    many = f"{len(rooms.many)} conversations"
    for status, what, to, detail in (
        (201, "POST event", _posts(requests, rooms), ""),
        (201, "POST event", turns([requests.post(room) for room in rooms.many]), f", {many}"),
        (200, "GET last 100", [[requests.events(rooms.read)]], ""),
    ):
        ours = f"{what}, {database}{detail}" if other else ""
        yield Subject(f"{what}, {server}{detail}", server, status, to, f"{what}, bare", ours, only_at)


def _posts(requests: Requests, rooms: Rooms) -> list[list[bytes]]:
    """Return the requests with which every client writes to the hot conversation, as one of its members."""
    return [[requests.post(rooms.hot, index)] for index in range(len(rooms.hot.members))]


def turns(spread: Sequence[bytes]) -> list[list[bytes]]:
    """Return the requests with which every client writes to all conversations, each beginning at another one."""
    return [[*spread[start:], *spread[:start]] for start in range(0, len(spread), 7)]


def chosen(every: Sequence[Subject], name: str) -> list[Subject]:
    """Return the subjects with ``name`` in their names, written alike if there are any such (POST is no postgres), and their yardsticks."""
    by_name = {subject.name: subject for subject in every}
    wanted: set[str] = set()
    found = {key for key in by_name if name in key} or {key for key in by_name if name.lower() in key.lower()}
    while found - wanted:
        wanted |= found
        found = {related for name in wanted for related in by_name[name].related if related in by_name}
    return [subject for subject in every if subject.name in wanted]
