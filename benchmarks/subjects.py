"""What is measured: which requests go to which server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from benchmarks.bare import PREFIX
from benchmarks.server import APPLICATION, Address, Room
from conversation_kit.tokens import make_token

TEXT = "A message of the length that messages in chats tend to have, give or take."
LAST_100 = "?order=desc&page_size=100"


@dataclass(frozen=True)
class Subject:
    """``requests`` holds those of each client in turn; ``yardstick`` names the subject that this one is compared with."""

    name: str
    server: str
    status: int
    requests: Sequence[Sequence[bytes]]
    yardstick: str

    def clients(self, number: int) -> list[Sequence[bytes]]:
        """The requests of this many clients."""
        return [self.requests[index % len(self.requests)] for index in range(number)]


class Requests:
    """Writes requests with the tokens of their users."""

    def __init__(self, private_key: str) -> None:
        self._token = cache(lambda user: make_token(private_key, APPLICATION, sub=user, ttl=86_400))

    def post(self, room: Room, index: int = 0) -> bytes:
        """An event by a member."""
        user, member = room.members[index % len(room.members)]
        body = json.dumps({"type": "text", "from": member, "body": {"text": TEXT}}).encode()
        return self._request("POST", f"/conversations/{room.id}/events", user, body)

    def get(self, room: Room, query: str = LAST_100) -> bytes:
        """A page of events, read by the first member."""
        return self._request("GET", f"/conversations/{room.id}/events{query}", room.members[0][0])

    def headers(self, user: str) -> dict[str, str]:
        """The header with the user's token."""
        return {"Authorization": f"Bearer {self._token(user)}"}

    def _request(self, method: str, path: str, user: str, body: bytes = b"") -> bytes:
        head = [f"{method} {PREFIX}{path} HTTP/1.1", "Host: 127.0.0.1", *(f"{k}: {v}" for k, v in self.headers(user).items())]
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body


def subjects(requests: Requests, servers: Mapping[str, Address]) -> Iterator[Subject]:
    """All of them, each yardstick before what is compared with it."""
    for server, address in servers.items():
        hot, read = address.hot, address.read
        if hot is None or read is None:
            continue
        by_member = [[requests.post(hot, index)] for index in range(len(hot.members))]
        spread = [[requests.post(room)] for room in address.many]
        if server == "memory":
            yield Subject("POST event, bare", "bare", 201, by_member, "POST event, bare")
            yield Subject("GET last 100, bare", "bare", 200, [[requests.get(read)]], "GET last 100, bare")
        yield Subject(f"POST event, {server}", server, 201, by_member, "POST event, bare")
        yield Subject(f"POST event, {server}, {len(spread)} conversations", server, 201, _turns(spread), "POST event, bare")
        yield Subject(f"GET last 100, {server}", server, 200, [[requests.get(read)]], "GET last 100, bare")


def _turns(spread: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
    """Every client writes to all conversations, each beginning at another one."""
    flat = [request for requests in spread for request in requests]
    return [flat[start:] + flat[:start] for start in range(0, len(flat), 7)]


def read_json(address: Address, requests: Requests, room: Room, path: str) -> tuple[bytes, object]:
    """The bytes and the value of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=30)
    try:
        connection.request("GET", PREFIX + path, headers={**requests.headers(room.members[0][0]), "Host": "127.0.0.1"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {body[:200]!r}")
        return body, json.loads(body)
    finally:
        connection.close()


def last_100(address: Address, requests: Requests) -> bytes:
    """What the kit answers, for the yardstick to send."""
    assert address.read is not None
    return read_json(address, requests, address.read, f"/conversations/{address.read.id}/events{LAST_100}")[0]


def gaps(address: Address, requests: Requests, accepted: int) -> list[str]:
    """What is wrong with the logs that were written to: ids must be 1, 2, 3, ..., one for each event that was accepted."""
    assert address.hot is not None
    problems = []
    posted = 0
    for room in (address.hot, *address.many):
        last = joined = 0
        while True:
            _, page = read_json(address, requests, room, f"/conversations/{room.id}/events?start_id={last + 1}")
            assert isinstance(page, list)
            if [event["id"] for event in page] != [str(last + 1 + index) for index in range(len(page))]:
                problems.append(f"{room.id} has a gap in its ids after {last}")
                break
            joined += sum(event["type"] != "text" for event in page)
            last += len(page)
            if len(page) < 100:
                break
        posted += last - joined
    if posted != accepted:
        problems.append(f"{accepted} events were accepted and {posted} are in the logs")
    return problems
