"""Ephemeral events between processes: what is passed to a broker, and what is taken from one."""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from itertools import count

from conversation_kit.brokers.parts import MAX_DATA
from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.event_types import EPHEMERAL, check_body
from conversation_kit.domain.events import Event
from conversation_kit.domain.values.checks import check_json, check_text
from conversation_kit.domain.values.times import parse_instant
from conversation_kit.ports import EphemeralEvent

logger = logging.getLogger("conversation_kit")

SEAL = 16
"""Bytes of a seal."""

_PURPOSE = b"conversation-kit ephemeral 1"


class EphemeralCodec:
    """Codec of ephemeral events between processes: of events for a broker, and back.

    With a ``secret`` each message is sealed, and is believed only from whoever has the same secret. Without one, whoever can write to the
    broker is believed. Either way it becomes nothing that a client could not have posted.
    """

    def __init__(self, secret: str | None = None) -> None:
        self._key = None if secret is None else hmac.digest(secret.encode("utf-8", "replace"), _PURPOSE, sha256)
        self._name = secrets.token_urlsafe(9)
        self._numbers = count()
        self._has_warned = False

    def of(self, event: Event) -> EphemeralEvent:
        """Return the event for other processes, under an id of its own."""
        id = f"{self._name}{next(self._numbers)}"
        if self._key is not None:
            id = f"{id}.{self._seal(self._key, event.application_id, event.conversation_id, id, event.data)}"
        return EphemeralEvent(event.application_id, event.conversation_id, id, event.data)

    def event(self, message: EphemeralEvent) -> Event | None:
        """Return what it passes on, made anew from what is in it; ``None``, with a warning the first time, if it is not to be believed."""
        try:
            self._check_seal(message)
            return _event(message)
        except (ValueError, RecursionError, InvalidInput) as error:
            if not self._has_warned:
                logger.warning("The broker has passed on an ephemeral event that is not taken (%s): who else uses its channel?", error)
            self._has_warned = True
            return None

    def _check_seal(self, message: EphemeralEvent) -> None:
        if self._key is None:
            return
        id, _, seal = message.id.rpartition(".")
        expected = self._seal(self._key, message.application_id, message.conversation_id, id, message.data)
        if not hmac.compare_digest(seal.encode("utf-8", "replace"), expected.encode()):
            raise ValueError("it was not sealed with this process's ticket_secret, which has to be the same in all processes")

    def _seal(self, key: bytes, *parts: str) -> str:
        digest = hmac.digest(key, json.dumps(parts).encode(), sha256)
        return urlsafe_b64encode(digest[:SEAL]).rstrip(b"=").decode()


def _event(message: EphemeralEvent) -> Event:
    """Return the event field by field, each checked as a client's is. Raises ``ValueError``, ``RecursionError`` or ``InvalidInput``."""
    if len(message.data) > MAX_DATA:
        raise ValueError("it is too long")
    fields = json.loads(message.data, parse_constant=_refuse)
    if not isinstance(fields, dict):
        raise ValueError("it is no object")
    type, body = fields.get("type"), fields.get("body")
    if not isinstance(type, str) or type not in EPHEMERAL or "id" in fields:
        raise ValueError("it is no ephemeral event")
    if not isinstance(body, dict):
        raise ValueError("its body is no object")
    check_body(type, body)
    body_text = check_json("body", body)
    at = fields.get("timestamp")
    if not isinstance(at, str):
        raise ValueError("it has no timestamp")
    people: dict[str, str | None] = {}
    for name in ("from", "to"):
        value = people[name] = fields.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f'"{name}" is no member\'s id')
        if value is not None:
            check_text(name, value)
    return Event.compose(
        message.application_id,
        message.conversation_id,
        None,
        type=type,
        body=body,
        timestamp=parse_instant(at),
        sender=people["from"],
        to=people["to"],
        body_text=body_text,
    )


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
