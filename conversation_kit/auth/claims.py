"""Claims of a token whose signature is right: for how long it is good, and for whom."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from conversation_kit.auth.acl import PathACL
from conversation_kit.auth.names import checked_name
from conversation_kit.domain.errors import Unauthenticated
from conversation_kit.domain.principals import Principal

DEFAULT_LIFETIME = 900
"""Seconds that a token without ``exp`` lives from its ``iat`` on."""

MILLISECONDS = 1e11
"""A time from here on is in milliseconds, a mistake of some sample code: in seconds it is the year 5138."""

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_NOT_PLAIN = re.compile(r"[^a-z0-9]")
_USERS = frozenset(
    {
        *("sub", "subs", "subj", "subject", "subjectid", "subjectname", "uid", "login", "loginname", "identity", "principal"),
        *("name", "nickname", "displayname", "preferredusername", "uniquename", "nameid", "upn", "email", "mail"),
        *("member", "memberid", "membername", "memberidinviting"),
    }
)
"""Claims that mean a user elsewhere, in small letters without what is between words; so does everything that begins with ``user``."""
_ACLS = frozenset(("acl", "acls", "paths"))


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the claims of tokens: ``leeway`` is how far ``iat`` and ``nbf`` may lie in the future, both are in seconds."""

    leeway: float
    max_lifetime: float | None

    def principal(self, claims: Mapping[str, Any], now: float) -> Principal:
        """Return who a token with these claims stands for. Raises ``Unauthenticated``."""
        issued, not_before, end = (_instant(claims, name) for name in ("iat", "nbf", "exp"))
        if end is None:
            if issued is None:
                raise Unauthenticated("The token has neither exp nor iat: nobody can tell when it ends.")
            end = issued + min(DEFAULT_LIFETIME, self.max_lifetime or math.inf)
        for claim, instant in (("iat", issued), ("nbf", not_before)):
            if instant is not None and instant > now + self.leeway:
                raise Unauthenticated(f"The token's {claim} lies in the future: look at the clocks.")
        if now >= end:
            raise Unauthenticated("The token has expired: get a new one.", "system:error:expired-token")
        if self.max_lifetime is not None and (issued is None or end - issued > self.max_lifetime):
            raise Unauthenticated(f"A token may live {self.max_lifetime:g} seconds from its iat to its exp here: make a shorter one.")
        name = _subject(claims)
        if name is not None and issued is None:
            raise Unauthenticated("A user's token needs an iat: without it nobody can tell whether it was made for this user.")
        acl = PathACL.parse(claims["acl"]) if "acl" in claims else None
        return Principal(
            claims["application_id"], name, acl=acl, expires_at=_datetime(end), issued_at=None if issued is None else _datetime(issued)
        )


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a time claim in seconds since the epoch; numeric strings are taken too."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, str) and value.isascii() and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise Unauthenticated(f"The token's {name} must be a number of seconds since 1970.")
    if value >= MILLISECONDS:
        raise Unauthenticated(f"The token's {name} must be in seconds since 1970, and seems to be in milliseconds.")
    return float(value)


def _subject(claims: Mapping[str, Any]) -> str | None:
    """Return the user's name, ``None`` for an admin: a token without ``sub`` and without anything that might have been meant as one."""
    for claim in claims:
        plain = _NOT_PLAIN.sub("", claim.lower())
        if plain in _ACLS and claim != "acl":
            raise Unauthenticated(f"The token has a claim {claim[:40]!r}, which limits nothing: an access list is called acl.")
        if "sub" not in claims and (plain in _USERS or plain.startswith("user")):
            raise Unauthenticated(
                f"The token has no sub, and {claim[:40]!r}, which looks like a user: put the user's name into sub, "
                "or leave both out for an admin."
            )
    if "sub" not in claims:
        return None
    sub = claims["sub"]
    # A sub that is null or empty must not make an admin of somebody.
    if not isinstance(sub, str) or not sub:
        raise Unauthenticated("The token's sub must be the name of a user; leave it out for an admin.")
    return checked_name(sub)


def _datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
