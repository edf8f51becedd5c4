"""Everything the kit raises on purpose.

    ConversationKitError
      ConfigurationError            the host wired something wrongly; raised at start, never per request
      StorageUnavailable            the storage cannot answer now and has written nothing; try again
        OutcomeUnknown              it was lost while it committed; look before you try again
      HookFailed                    a fail-closed ``before`` hook raised or ran out of time
      StreamEnded                   a live stream is over; has a ``code``
      RequestError                  what the caller asked for cannot be done; has a ``code``
        InvalidInput                names the fields that are wrong
        Unauthenticated             no, broken or expired credentials
        Forbidden                   known caller, not theirs to do
        NotFound                    does not exist, or not for this caller
        Conflict                    against the present state of the conversation
        Rejected                    a host's hook said no
        TooManyRequests             more than a limit allows; has ``retry_after``

An error carries the ``code`` that clients branch on and a sentence for a person. The
HTTP status is the HTTP layer's business.
"""

from __future__ import annotations

from collections.abc import Mapping


class ConversationKitError(Exception):
    """The root of the tree."""


class ConfigurationError(ConversationKitError):
    """The kit was put together wrongly; the message says what to change."""


class StorageUnavailable(ConversationKitError):
    """The storage cannot be reached or is too busy. Nothing was written, unless it is an ``OutcomeUnknown``."""


class OutcomeUnknown(StorageUnavailable):
    """The storage was lost while it committed: all of the write is stored, or nothing of it. Repeating it may do it twice."""


class HookFailed(ConversationKitError):
    """A ``before`` hook that must not be skipped raised or timed out; nothing was written."""


class RequestError(ConversationKitError):
    """The request of a caller cannot be carried out.

    ``code`` is ``<area>:error:<what>``; ``description`` a sentence that says what to do.
    """

    code = "http:error:validation-fail"
    retry_after: float | None = None
    """Seconds after which the same request may go well, if it is known."""

    def __init__(self, description: str, code: str | None = None) -> None:
        super().__init__(description)
        self.description = description
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.code}: {self.description}"


class InvalidInput(RequestError):
    """Some input is not acceptable; ``fields`` maps each field's name to what is wrong with it."""

    def __init__(self, fields: Mapping[str, str], code: str | None = None) -> None:
        super().__init__("Input validation failure: " + "; ".join(f"{name} {reason}" for name, reason in fields.items()) + ".", code)
        self.fields = dict(fields)


class Unauthenticated(RequestError):
    """No credentials, or credentials that cannot be trusted."""

    code = "system:error:invalid-token"


class Forbidden(RequestError):
    """The caller is known and this is not theirs to do."""

    code = "system:error:permission"


class NotFound(RequestError):
    """The thing does not exist, or the caller may not know that it does."""

    code = "http:error:not-found"


class Conflict(RequestError):
    """The present state does not allow it."""

    code = "conversation:error:invalid-member-state"


class Rejected(RequestError):
    """Raised by a ``before`` hook to refuse a command; answered as a 4xx with this ``code``."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description, code)


class TooManyRequests(RequestError):
    """More than a limit of the kit allows; nothing was written. ``retry_after`` is the number of seconds until it is allowed again."""

    code = "http:error:too-many-requests"

    def __init__(self, description: str, *, retry_after: float) -> None:
        super().__init__(description)
        self.retry_after = retry_after


class StreamEnded(ConversationKitError):
    """A live stream is over. ``code`` and ``description`` say why; whoever still may can go on after the last id that they got.

    ``is_stop`` says that it is nobody's fault: the kit stops, or the stream is old.
    """

    def __init__(self, description: str, code: str, *, is_stop: bool = False) -> None:
        super().__init__(description)
        self.description = description
        self.code = code
        self.is_stop = is_stop


def too_slow() -> StreamEnded:
    """Return the error for a subscriber that takes its events more slowly than they come."""
    return StreamEnded("More was waiting for you than may wait: go on after the last id that you got.", "stream:error:too-slow")


def stopping() -> StreamEnded:
    """Return the error for the streams of a server that stops."""
    return StreamEnded("This server stops: go on after the last id that you got.", "stream:error:stopping", is_stop=True)


def invalid_cursor(after: object) -> InvalidInput:
    """Return the error for a position that the log does not have."""
    return InvalidInput(
        {"after": f"must be the id of an event of this conversation, or 0: {after!r:.40} is none"}, "event:error:invalid-cursor"
    )


def conversation_not_found() -> NotFound:
    """Return the error for a conversation: missing and forbidden ones answer alike."""
    return NotFound("The conversation does not exist, or you have no access to it.", "conversation:error:not-found")


def member_not_found(member_id: str) -> NotFound:
    """Return the error for a member that the conversation does not have."""
    return NotFound(f"The conversation has no member {member_id!r}.", "member:error:not-found")


def user_not_found(which: str) -> NotFound:
    """Return the error for a user that the application does not have."""
    return NotFound(f"The application has no user {which!r}.", "user:error:not-found")


def event_not_found(event_id: object) -> NotFound:
    """Return the error for an event that the conversation does not have."""
    return NotFound(f"The conversation has no event {event_id}.", "event:error:not-found")


def leg_not_found(leg_id: str) -> NotFound:
    """Return the error for a leg that the application does not have."""
    return NotFound(f"The application has no leg {leg_id!r}.", "leg:error:not-found")


def not_joined() -> Forbidden:
    """Return the error for a caller who is no joined member and asks for events."""
    return Forbidden("Only a joined member may do this: join the conversation first.", "event:error:not-joined")


def key_mismatch() -> Conflict:
    """Return the error for an idempotency key that has been used for something else."""
    told = "This idempotency key was used for another request: a key is for one request and its repeats."
    return Conflict(told, "http:error:idempotency-mismatch")


def key_in_use() -> Conflict:
    """Return the error for an idempotency key whose first request is still under way."""
    error = Conflict("A request with this idempotency key is still under way: repeat it in a moment.", "http:error:idempotency-in-flight")
    error.retry_after = 1
    return error


def duplicate_name(noun: str, name: str) -> Conflict:
    """Return the error for a name that is taken; ``noun`` is ``conversation`` or ``user``."""
    return Conflict(f"The {noun} name {name!r} is taken: choose another one.", f"{noun}:error:duplicate-name")
