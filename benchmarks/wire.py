"""Requests as bytes, and the reading of answers outside what is measured."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from functools import cache

from benchmarks.rooms import APPLICATION, PREFIX, Address, Room, Rooms
from conversation_kit.auth import make_token

MARK = b"|"
"""Once in each text that is sent, and nowhere else in an event or around it, so that who counts it counts events."""

TEXT = f"A message of the length that messages in chats tend to have {MARK.decode()} give or take."
HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
LAST_100 = "?order=desc&page_size=100"


class Requests:
    """Requests with the tokens of their users."""

    def __init__(self, private_key: str) -> None:
        self._token = cache(lambda user: make_token(private_key, APPLICATION, sub=user, ttl=86_400))

    def post(self, room: Room, index: int = 0) -> bytes:
        """Return the request of a member to post an event."""
        user, member = room.members[index % len(room.members)]
        body = json.dumps({"type": "text", "from": member, "body": {"text": TEXT}}).encode()
        return self._request("POST", f"/conversations/{room.id}/events", user, body)

    def events(self, room: Room, query: str = LAST_100) -> bytes:
        """Return the request of the first member for a page of events."""
        return self.get(f"/conversations/{room.id}/events{query}", room.members[0][0])

    def get(self, path: str, user: str) -> bytes:
        """Return the request for any read."""
        return self._request("GET", path, user)

    def listen(self, path: str, user: str, transport: str) -> bytes:
        """Return the request for a live stream of events: server-sent ones (``sse``) or a WebSocket (``ws``)."""
        more = {"sse": ("Accept: text/event-stream",), "ws": HANDSHAKE}[transport]
        return self._request("GET", path, user, more=more)

    def headers(self, user: str) -> dict[str, str]:
        """Return the header with the user's token."""
        return {"Authorization": f"Bearer {self._token(user)}"}

    def _request(self, method: str, path: str, user: str, body: bytes = b"", more: Sequence[str] = ()) -> bytes:
        head = [f"{method} {PREFIX}{path} HTTP/1.1", "Host: 127.0.0.1", *(f"{k}: {v}" for k, v in self.headers(user).items()), *more]
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body


def read_json(address: Address, requests: Requests, user: str, path: str) -> tuple[bytes, object]:
    """Return the bytes and the value of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=30)
    try:
        connection.request("GET", PREFIX + path, headers={**requests.headers(user), "Host": "127.0.0.1"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {body[:200]!r}")
        return body, json.loads(body)
    finally:
        connection.close()


def last_100(address: Address, rooms: Rooms, requests: Requests) -> bytes:
    """Return the kit's answer, for the yardstick to send."""
    return read_json(address, requests, rooms.read.members[0][0], f"/conversations/{rooms.read.id}/events{LAST_100}")[0]


def gaps(address: Address, rooms: Rooms, requests: Requests, accepted: int) -> list[str]:
    """Return the faults of the logs that were written to: ids must be 1, 2, 3, ..., one for each event that was accepted."""
    problems = []
    posted = 0
    for room in (rooms.hot, *rooms.many):
        last = joined = 0
        while True:
            _, page = read_json(address, requests, room.members[0][0], f"/conversations/{room.id}/events?start_id={last + 1}")
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
