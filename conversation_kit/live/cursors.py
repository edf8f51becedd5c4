"""The cursor of a feed: a position in each of its conversations, and the text that says so."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Iterator
from hashlib import blake2b

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.values.epochs import FIRST_EPOCH, other_log

VERSION = 2
BEFORE_EPOCHS = 1
MARK = 6
"""Bytes that stand for a conversation: enough that no two of a user's are taken for one."""

OWNER = 4
"""Bytes that stand for the user: a cursor that got into the wrong hands is noticed."""

EPOCH = 4
"""Bytes that stand for the epoch of the log."""

MAX_POSITION = 2**53
BEGINNING = "0"
"""The cursor before everything."""


class Cursor:
    """The positions of one user's feed: the id of the last event that was handed out, by conversation."""

    __slots__ = ("_entries", "_start")

    def __init__(self, application_id: str, user_id: str, epoch: str = FIRST_EPOCH) -> None:
        self._start = bytes((VERSION,)) + _owner(application_id, user_id) + _epoch(epoch)
        self._entries: dict[str, bytes] = {}

    def move(self, conversation_id: str, position: int) -> None:
        """Say up to where this conversation is known now."""
        old = self._entries.get(conversation_id)
        self._entries[conversation_id] = (old[:MARK] if old is not None else mark(conversation_id)) + _number(position)

    def drop(self, conversation_id: str) -> None:
        """Forget this conversation."""
        self._entries.pop(conversation_id, None)

    @property
    def text(self) -> str:
        """Return a text that ``positions`` reads: ASCII, about ten characters for each conversation."""
        return urlsafe_b64encode(self._start + b"".join(self._entries.values())).rstrip(b"=").decode()


def positions(text: str, application_id: str, user_id: str, epoch: str = FIRST_EPOCH) -> dict[bytes, int]:
    """Return the positions that a cursor of this user holds, by what ``mark`` makes of the conversation.

    Raises ``invalid_cursor``, and ``other_log`` for a cursor of another epoch, or from before there were any.
    """
    try:
        raw = text.encode("ascii")
        data = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
        if urlsafe_b64encode(data).rstrip(b"=") != raw:
            raise ValueError("it is spelled in another way")
        version, owner, rest = data[:1], data[1 : 1 + OWNER], data[1 + OWNER :]
        if version not in (bytes((VERSION,)), bytes((BEFORE_EPOCHS,))) or owner != _owner(application_id, user_id):
            raise ValueError("it is somebody else's")
        if version == bytes((BEFORE_EPOCHS,)):
            raise other_log()
        if len(rest) < EPOCH:
            raise ValueError("it was cut off")
        found = dict(_entries(rest[EPOCH:]))
        if rest[:EPOCH] != _epoch(epoch):
            raise other_log()
        return found
    except (ValueError, Error) as error:
        raise invalid_cursor(text) from error


def mark(conversation_id: str) -> bytes:
    """Return what stands for a conversation in a cursor."""
    return blake2b(conversation_id.encode("utf-8", "surrogatepass"), digest_size=MARK).digest()


def invalid_cursor(after: object) -> InvalidInput:
    """Make the error of a cursor that no feed of this user has given out."""
    return InvalidInput({"after": f"must be a cursor of this user's feed, or 0: {after!r:.40} is none"}, "event:error:invalid-cursor")


def _owner(application_id: str, user_id: str) -> bytes:
    return blake2b(f"{application_id}\0{user_id}".encode("utf-8", "surrogatepass"), digest_size=OWNER).digest()


def _epoch(epoch: str) -> bytes:
    return blake2b(epoch.encode(), digest_size=EPOCH).digest()


def _number(value: int) -> bytes:
    """Seven bits in a byte, the lowest first; the eighth says that there are more."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def _entries(data: bytes) -> Iterator[tuple[bytes, int]]:
    at = 0
    while at < len(data):
        name = data[at : at + MARK]
        at += MARK
        value = shift = 0
        while True:
            if at >= len(data) or shift > 49:
                raise ValueError("it was cut off, or holds a number that no event has")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if value > MAX_POSITION:
            raise ValueError("it holds a number that no event has")
        yield name, value
