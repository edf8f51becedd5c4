"""Frames that clients send over a WebSocket: events to create, by the same service and with the same hooks and rights as by POST."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError
from pydantic_core import from_json

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.http.beta.links import Links
from conversation_kit.http.beta.schemas.bodies import EventBody
from conversation_kit.http.serving.errors import invalid_body
from conversation_kit.http.serving.request import Request
from conversation_kit.services.idempotency_keys import IdempotencyKey

EVENTS: Final = "getEvents"
"""The operation that every live stream is an instance of, a user's feed too."""


class Frame(EventBody):
    """A frame of a client: an event, its conversation where that is not plain, and marks by which its answer and its repeats are known."""

    conversation_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    tid: Annotated[str, Field(max_length=255)] | int | None = None
    idempotency_key: str | None = None


class Frames:
    """Carries out the frames of one WebSocket, for ``conversation_id`` if there is only one."""

    __slots__ = ("_conversation_id", "_request")

    def __init__(self, request: Request[Links], conversation_id: str | None = None) -> None:
        self._request = request
        self._conversation_id = conversation_id

    async def answer(self, text: bytes) -> dict[str, Any]:
        """Create the event of a frame, and return what to answer: an error, too, has the ``rid`` of the frame."""
        request = self._request
        rid: str | int | None = None
        key: IdempotencyKey | None = None
        try:
            rid, conversation_id, frame = self._parse(text)
            if frame.idempotency_key is not None:
                key = IdempotencyKey(frame.idempotency_key, f"POST {Links.events_path(conversation_id)}")
            event = await replace(request.kit, key=key).events.create(
                conversation_id, frame.type, frame.body, sender=frame.sender, to=frame.to
            )
        except Exception as error:
            if isinstance(error, _Unreadable):
                rid, error = error.rid, error.error
            request.mount.refusals.note(error, "createEvent", request.kit.principal)
            response: dict[str, Any] = from_json(request.mount.answer_error(error, request.path).body)
            return {"rid": rid, **response}
        answer: dict[str, Any] = {"rid": rid, "timestamp": event.fields["timestamp"]}
        if event.id is not None:
            answer |= {"id": str(event.id), "href": request.links.event(event.conversation_id, event.id)}
        return answer if key is None or not key.is_replayed else {**answer, "replayed": True}

    def _parse(self, text: bytes) -> tuple[str | int | None, str, Frame]:
        rid: str | int | None = None
        try:
            try:
                fields = from_json(text, allow_inf_nan=False)
            except ValueError as error:
                raise InvalidInput({"frame": "must be JSON"}) from error
            if not isinstance(fields, dict):
                raise InvalidInput({"frame": "must be an object"})
            given = fields.get("tid")
            if isinstance(given, (str, int)) and not isinstance(given, bool) and len(str(given)) <= 255:
                rid = given
            try:
                frame = Frame.model_validate_json(text)
            except ValidationError as error:
                raise invalid_body(error) from error
            conversation_id = self._conversation_of(frame)
            acl = self._request.kit.principal.acl
            if acl is not None:
                self._request.check_covered(acl, "POST", Links.events_path(conversation_id), EventBody.picked(text))
        except Exception as error:
            raise _Unreadable(rid, error) from error
        return rid, conversation_id, frame

    def _conversation_of(self, frame: Frame) -> str:
        own, named = self._conversation_id, frame.conversation_id
        if own is not None and named not in (None, own):
            raise InvalidInput({"conversation_id": "is another conversation than the one that this WebSocket is of"})
        found = own or named
        if found is None:
            raise InvalidInput({"conversation_id": "is needed here, where the events of several conversations go"})
        return found


class _Unreadable(Exception):
    """A frame that cannot be carried out, with what it wants its answer to be known by as far as that can be told."""

    def __init__(self, rid: str | int | None, error: Exception) -> None:
        self.rid = rid
        self.error = error
