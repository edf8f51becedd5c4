"""Which events clients may post, and what their bodies must hold (SEMANTICS 3.1, 3.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping

from conversation_kit.domain.errors import ConfigurationError, InvalidInput
from conversation_kit.domain.events import is_tombstone
from conversation_kit.domain.models import JSONObject, ReceiptKind

MAX_CUSTOM_BODY = 4096
"""Bytes of a custom event's body in UTF-8."""

_CUSTOM = re.compile(r"custom:[A-Za-z0-9_-]{1,93}")
_DIGITS = re.compile(r"[0-9a-dA-D#*p]{1,45}")

_SUFFIXED = {
    "audio:play": ("", ":stop"),
    "audio:say": ("", ":stop"),
    "audio:record": ("", ":stop"),
    "audio:mute": (":on", ":off"),
    "audio:earmuff": (":on", ":off"),
    "audio:ringing": (":start", ":stop"),
    "video:mute": (":on", ":off"),
    "text": ("", ":delivered", ":seen"),
    "image": ("", ":delivered", ":seen"),
    "message": ("", ":delivered", ":seen", ":submitted", ":rejected", ":undeliverable"),
    "event": (":delivered", ":seen"),
}
STORED = frozenset(stem + suffix for stem, suffixes in _SUFFIXED.items() for suffix in suffixes) | {"audio:dtmf"}
EPHEMERAL = frozenset({"text:typing:on", "text:typing:off", "ephemeral"})
KIT_MADE = ("member:", "conversation:", "event:", "leg:", "rtc:", "sip:", "app:")
"""How the types begin that only the server makes."""

MAX_TYPE = 100
MESSAGES = frozenset({"text", "image", "message"})
MEDIA_SWITCHES = {
    "audio:mute:on": ("muted", True),
    "audio:mute:off": ("muted", False),
    "audio:earmuff:on": ("earmuffed", True),
    "audio:earmuff:off": ("earmuffed", False),
}
"""What such an event sets in the ``audio_settings`` of the member it is meant for."""

_RECEIPTS = {"delivered": ReceiptKind.DELIVERED, "seen": ReceiptKind.SEEN}


def check_type(type: str, registered: Collection[str] = ()) -> None:
    """Whether a client may post this type: one of the API's, ``custom:<name>``, or one that the host registered."""
    if type in STORED or type in EPHEMERAL or type in registered or _CUSTOM.fullmatch(type):
        return
    raise InvalidInput(
        {"type": f"{type[:100]!r} is not a type that clients may send: use text, image, custom:<name> or another of the API's"},
        "conversation:error:invalid-event",
    )


def check_body(type: str, body: JSONObject) -> None:
    """Whether the body holds what the type's effect depends on."""
    problem = None
    if type == "text" and isinstance(body, dict) and isinstance(body.get("text"), str) and "timestamp" not in body:
        return
    if not isinstance(body, Mapping):
        problem = {"body": "must be an object"}
    elif is_tombstone(body):
        problem = {"body.timestamp": "with deleted in it is what the server leaves of a deleted event"}
    elif type == "text" and not isinstance(body.get("text"), str):
        problem = {"body.text": "must be a string"}
    elif type == "audio:dtmf":
        digits = body.get("digits", body.get("digit"))
        if not isinstance(digits, str) or not _DIGITS.fullmatch(digits):
            problem = {"body.digit": "must be 1 to 45 of 0-9, a-d, #, * and p"}
    elif receipt_kind(type) is not None and receipt_target(body) is None:
        problem = {"body.event_id": "must be the id of an event of this conversation"}
    if problem:
        raise InvalidInput(problem, "conversation:error:invalid-event")


def receipt_kind(type: str) -> ReceiptKind | None:
    """Which kind of receipt an event of this type is, if it is one."""
    stem, _, suffix = type.partition(":")
    return _RECEIPTS.get(suffix) if stem in ("text", "image", "message", "event") else None


def receipt_target(body: JSONObject) -> int | None:
    """The id of the event that a receipt is about: an integer or a numeric string."""
    value = body.get("event_id")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    return None


def is_message(type: str, registered: Collection[str] = ()) -> bool:
    """Whether events of this type are what people said, and not what the log records: those can be deleted, and be unread.

    A host may register types of the API too, which does not make messages of receipts or of what is not kept.
    """
    return type in MESSAGES or type.startswith("custom:") or (type in registered and type not in EPHEMERAL and receipt_kind(type) is None)


def is_ephemeral(data: str) -> bool:
    """Whether this is the JSON of an ephemeral event, and of nothing that a log would have to hold."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and fields.get("type") in EPHEMERAL and "id" not in fields and isinstance(fields.get("body"), dict)


def check_registered(types: Iterable[str]) -> frozenset[str]:
    """The event types that a host adds. None may be one that the kit itself makes, or clients could forge what the log records.

    Raises ``ConfigurationError``.
    """
    if isinstance(types, str):
        raise ConfigurationError(f"event_types= takes several types, such as [{types!r}].")
    registered = frozenset(types)
    for type in registered:
        made = type.startswith(KIT_MADE) and type not in STORED
        if made or not type.isprintable() or not 0 < len(type) <= MAX_TYPE:
            raise ConfigurationError(
                f"event_types= may not hold {type!r}: such events are the kit's own, or it is not 1 to {MAX_TYPE} printable characters."
            )
    return registered
