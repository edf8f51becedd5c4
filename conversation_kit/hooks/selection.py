"""Selection of the signals that a function of the host is registered for."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

from conversation_kit.domain.commands import Command
from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.event_types import EPHEMERAL, MADE, STORED, is_custom
from conversation_kit.domain.signals import Announcement, EventCreated, RequestRefused, Signal


@dataclass(frozen=True, slots=True)
class Selection:
    """The signals of a class, or those of events whose type matches a pattern."""

    signal: type[Announcement]
    pattern: re.Pattern[str] | None = None

    @classmethod
    def of(cls, what: type[Announcement] | str, decorator: str, registered: Collection[str] = ()) -> Selection:
        """Select a signal class with its subclasses, or the created events whose type matches a pattern.

        A pattern is an event type in which ``*`` stands for anything (``"custom:rating"``, ``"member:*"``); ``registered`` are the types
        that the host added. Raises ``ConfigurationError`` for what is neither, and for a pattern that no event can match.
        """
        if isinstance(what, str):
            return cls(EventCreated, _pattern(what, decorator, registered))
        if isinstance(what, type) and issubclass(what, Signal | RequestRefused):
            return cls(what)
        if isinstance(what, type) and issubclass(what, Command):
            raise ConfigurationError(
                f"{decorator}() takes a signal, and {what.__name__} is a command: @kit.before({what.__name__}) is for those."
            )
        check_parentheses(what, decorator, "EventCreated")
        raise ConfigurationError(f"{decorator}() takes a signal class such as MemberJoined or an event type, not {what!r}.")

    def wants(self, signal: Announcement) -> bool:
        """Tell whether the signal is one of them."""
        if not isinstance(signal, self.signal):
            return False
        return self.pattern is None or (isinstance(signal, EventCreated) and self.pattern.fullmatch(signal.event.type) is not None)


def check_parentheses(what: object, decorator: str, example: str) -> None:
    """Raise ``ConfigurationError`` for a decorator that was given the function itself."""
    if callable(what) and not isinstance(what, type):
        name = getattr(what, "__name__", repr(what))
        raise ConfigurationError(f"@kit.{decorator} needs to know what {name} is for: write @kit.{decorator}({example}), with parentheses.")


def _pattern(text: str, decorator: str, registered: Collection[str]) -> re.Pattern[str]:
    pattern = re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)
    known = STORED | EPHEMERAL | MADE | set(registered)
    if any(pattern.fullmatch(type) for type in known) or _may_be_custom(text):
        return pattern
    close = get_close_matches(text, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else "custom types begin with custom:, and others are told in event_types=."
    raise ConfigurationError(f"{decorator}({text!r}) would never be called, since no event has such a type: {hint}")


def _may_be_custom(text: str) -> bool:
    """Tell whether some ``custom:`` type matches: as it is with a letter for each ``*``, or because a ``*`` may stand for ``custom:``."""
    head, star, tail = text.partition("*")
    if star and len(head) < len("custom:") and "custom:".startswith(head):
        return is_custom("custom:x" + tail.replace("*", "x")) or is_custom("custom:x" + tail.rpartition(":")[2].replace("*", "x"))
    return is_custom(text.replace("*", "x"))
