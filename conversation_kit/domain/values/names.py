"""Unique names that people can tell apart (createUser, updateUser, createConversation, replaceConversation; docs/api.md)."""

from __future__ import annotations

import unicodedata

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.values.checks import check_text

_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
"""Letters by their category, and blanks to the eye."""


def check_name(field: str, name: str) -> str:
    """Return a unique name as it is. Raises ``InvalidInput`` for one that looks like nothing or like another one.

    Two names must not differ only in what cannot be seen: blanks around them, characters without a shape, or how an accented letter is
    composed. Joiners are part of how some scripts and emoji are written, and stand between characters beyond ASCII.
    """
    check_text(field, name)
    problem = None
    if name != name.strip():
        problem = "must not begin or end with a blank, or consist of blanks"
    elif not name.isascii():
        if not unicodedata.is_normalized("NFC", name):
            problem = "must be in Unicode's composed form (NFC): letters and their accents as one character"
        elif any(_is_hidden(name, at) for at in range(len(name))):
            problem = "must not hold characters that cannot be seen"
    elif not name.isprintable():
        problem = "must not hold characters that cannot be seen"
    if problem is not None:
        raise InvalidInput({field: problem})
    return name


def _is_hidden(name: str, at: int) -> bool:
    character = name[at]
    if character in _JOINERS:
        return not 0 < at < len(name) - 1 or name[at - 1].isascii() or name[at + 1].isascii() or name[at + 1] in _JOINERS
    return character in _FILLERS or unicodedata.category(character) in _UNSEEN
