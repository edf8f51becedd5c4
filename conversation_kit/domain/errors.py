"""Everything the kit raises on purpose.

    ConversationKitError
      ConfigurationError            the host wired something wrongly; raised at start, never per request
      StorageUnavailable            the storage cannot answer now; try again
      HookFailed                    a fail-closed ``before`` hook raised or ran out of time
      StreamEnded                   a live stream is over; has a ``code``
      RequestError                  what the caller asked for cannot be done; has a ``code``
        InvalidInput                names the fields that are wrong
        Unauthenticated             no, broken or expired credentials
        Forbidden                   known caller, not theirs to do
        NotFound                    does not exist, or not for this caller
        Conflict                    against the present state of the conversation
        Rejected                    a host's hook said no

An error carries the ``code`` that clients branch on (SEMANTICS section 6) and a sentence for a person. The
HTTP status is the door's business.
"""

from __future__ import annotations

from collections.abc import Mapping


class ConversationKitError(Exception):
    """The root of the tree."""


class ConfigurationError(ConversationKitError):
    """The kit was put together wrongly; the message says what to change."""


class StorageUnavailable(ConversationKitError):
    """The storage cannot be reached or is too busy. Nothing was written, unless it was lost while it committed: that nobody knows."""


class HookFailed(ConversationKitError):
    """A ``before`` hook that must not be skipped raised or timed out; nothing was written."""


class RequestError(ConversationKitError):
    """What the caller asked for cannot be done.

    ``code`` is ``<area>:error:<what>``; ``description`` a sentence that says what to do.
    """

    code = "http:error:validation-fail"

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
    """A subscriber that takes its events more slowly than they come."""
    return StreamEnded("More was waiting for you than may wait: go on after the last id that you got.", "stream:error:too-slow")


def stopping() -> StreamEnded:
    """The server goes."""
    return StreamEnded("This server stops: go on after the last id that you got.", "stream:error:stopping", is_stop=True)


def invalid_cursor(after: object) -> InvalidInput:
    """A position that the log does not have."""
    return InvalidInput(
        {"after": f"must be the id of an event of this conversation, or 0: {after!r:.40} is none"}, "event:error:invalid-cursor"
    )


def conversation_not_found() -> NotFound:
    """Missing and forbidden conversations answer alike."""
    return NotFound("The conversation does not exist, or you have no access to it.", "conversation:error:not-found")


def member_not_found(member_id: str) -> NotFound:
    """No such member in the conversation."""
    return NotFound(f"The conversation has no member {member_id!r}.", "member:error:not-found")


def user_not_found(which: str) -> NotFound:
    """No such user in the application."""
    return NotFound(f"The application has no user {which!r}.", "user:error:not-found")


def event_not_found(event_id: object) -> NotFound:
    """No such event in the conversation."""
    return NotFound(f"The conversation has no event {event_id}.", "event:error:not-found")


def leg_not_found(leg_id: str) -> NotFound:
    """No such leg in the application."""
    return NotFound(f"The application has no leg {leg_id!r}.", "leg:error:not-found")


def not_joined() -> Forbidden:
    """Events are for joined members."""
    return Forbidden("Only a joined member may do this: join the conversation first.", "event:error:not-joined")


def duplicate_name(noun: str, name: str) -> Conflict:
    """``noun`` is ``conversation`` or ``user``."""
    return Conflict(f"The {noun} name {name!r} is taken: choose another one.", f"{noun}:error:duplicate-name")
