"""Types of events that clients may post, and the rules for their bodies."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from conversation_kit.domain.errors import ConfigurationError, InvalidInput
from conversation_kit.domain.models import JSONObject, ReceiptKind
from conversation_kit.domain.values.checks import MAX_JSON, check_json

MAX_CUSTOM_BODY = 4096
"""Bytes of a custom event's body in UTF-8."""

_CUSTOM = re.compile(r"custom:[A-Za-z0-9_.:-]{1,93}")
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
"""Beginnings of the types that only the server makes."""

MAX_TYPE = 100
MESSAGES = frozenset({"text", "image", "message"})
MEDIA_SWITCHES = {
    "audio:mute:on": ("muted", True),
    "audio:mute:off": ("muted", False),
    "audio:earmuff:on": ("earmuffed", True),
    "audio:earmuff:off": ("earmuffed", False),
}
"""Setting in the ``audio_settings`` of the member that such an event is meant for, and the value that the event gives it."""

MADE = frozenset(
    {
        *("member:invited", "member:joined", "member:left", "member:media", "member:banned", "member:unbanned"),
        *("conversation:updated", "event:delete", "leg:status:update", "rtc:transfer", "rtc:hangup", "sip:hangup"),
    }
)
"""Types of the events that the kit itself appends."""

RECEIPT_KINDS: Final[Mapping[str, ReceiptKind]] = {
    f"{stem}:{suffix}": kind
    for stem in ("text", "image", "message", "event")
    for suffix, kind in (("delivered", ReceiptKind.DELIVERED), ("seen", ReceiptKind.SEEN))
}
"""Kinds of receipts by the types of the events that say so."""


def check_event(type: str, body: JSONObject, registered: Collection[str] = ()) -> str:
    """Return the JSON text of the body of an event that clients may post. Raises as ``check_type``, ``check_body`` and ``check_json``."""
    check_type(type, registered)
    check_body(type, body)
    return check_json("body", body, limit=MAX_CUSTOM_BODY if type.startswith("custom:") else MAX_JSON)


def check_type(type: str, registered: Collection[str] = ()) -> None:
    """Raise ``InvalidInput`` unless clients may post this type: one of the API's, ``custom:<name>``, or one that the host registered."""
    if type in STORED or type in EPHEMERAL or type in registered or is_custom(type):
        return
    raise InvalidInput(
        {"type": f"{type[:100]!r} is not a type that clients may send: use text, image, custom:<name> or another of the API's"},
        "conversation:error:invalid-event",
    )


def is_custom(type: str) -> bool:
    """Tell whether this is ``custom:`` and a name that clients may make up."""
    return _CUSTOM.fullmatch(type) is not None


def check_body(type: str, body: JSONObject) -> None:
    """Raise ``InvalidInput`` unless the body holds everything that the type's effect depends on."""
    problem = None
    if type == "text" and isinstance(body, dict) and isinstance(body.get("text"), str) and "timestamp" not in body:
        return
    if not isinstance(body, Mapping):
        problem = {"body": "must be an object"}
    elif is_tombstone(type, body):
        problem = {"body.timestamp": "with deleted in it is what the server leaves of a deleted event"}
    elif type == "text" and not isinstance(body.get("text"), str):
        problem = {"body.text": "must be a string"}
    elif type == "audio:dtmf":
        digits = body.get("digits", body.get("digit"))
        if not isinstance(digits, str) or not _DIGITS.fullmatch(digits):
            problem = {"body.digit": "must be 1 to 45 of 0-9, a-d, #, * and p"}
    elif type in RECEIPT_KINDS and receipt_target(body) is None:
        problem = {"body.event_id": "must be the id of an event of this conversation"}
    if problem:
        raise InvalidInput(problem, "conversation:error:invalid-event")


def receipt_target(body: JSONObject) -> int | None:
    """Return the id of the event that a receipt is about, given as an integer or a numeric string, or ``None`` if there is none."""
    value = body.get("event_id")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    return None


def is_message(type: str, registered: Collection[str] = ()) -> bool:
    """Tell whether events of this type are messages of people, not records of the log: messages can be deleted, and be unread.

    A host may register types of the API too, which does not make messages of receipts or of what is not kept.
    """
    return type in MESSAGES or type.startswith("custom:") or (type in registered and type not in EPHEMERAL and type not in RECEIPT_KINDS)


def is_recorded(type: str) -> bool:
    """Return whether events of this type are the kit's own records, such as ``member:left``, which no client writes."""
    return type.startswith(KIT_MADE) and type not in STORED


def is_tombstone(type: str, body: JSONObject) -> bool:
    """Return whether this is what deleteEvent leaves of an event's body. No client may post it.

    Nothing but ``timestamp.deleted`` is left of what a client wrote, and ids and states beside it of the kit's own records.
    """
    times = body.get("timestamp")
    return isinstance(times, Mapping) and "deleted" in times and (len(body) == 1 or is_recorded(type))


def check_registered(types: Iterable[str]) -> frozenset[str]:
    """Return the event types that a host adds.

    None may be one that the kit itself makes, or clients could forge what the log records.

    Raises ``ConfigurationError``.
    """
    if isinstance(types, str):
        raise ConfigurationError(f"event_types= takes several types, such as [{types!r}].")
    registered = frozenset(types)
    for type in registered:
        if is_recorded(type) or not type.isprintable() or not 0 < len(type) <= MAX_TYPE:
            raise ConfigurationError(
                f"event_types= may not hold {type!r}: such events are the kit's own, or it is not 1 to {MAX_TYPE} printable characters."
            )
    return registered
