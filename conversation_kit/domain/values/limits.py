"""Limits of what users and applications may create in a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.values.checks import MAX_JSON

SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
"""The times that a rate may be written with."""

MAX_AMOUNT = 10**12
"""The most that a rate may have: meters count it exactly, parts included, in a double."""

_TEXT = re.compile(rf"([0-9]{{1,13}})/({'|'.join(SECONDS)})")


@dataclass(frozen=True, slots=True)
class Rate:
    """So much in so many seconds: all of it may be used at once, and what was used comes back evenly over the time.

    Raises ``ConfigurationError``.
    """

    amount: int
    seconds: int = 60

    def __post_init__(self) -> None:
        """Look at the numbers."""
        for name, most in (("amount", MAX_AMOUNT), ("seconds", SECONDS["day"])):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ConfigurationError(f"Rate takes a whole number from 1 to {most} for {name}, not {value!r}.")

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Return the rate of a text such as ``600/minute``. Raises ``ConfigurationError``."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ConfigurationError(f"A rate is written such as 600/minute, with second, minute, hour or day, and not {text!r}.")
        return cls(int(found[1]), SECONDS[found[2]])

    def __str__(self) -> str:
        """Return it in words."""
        time = next((name for name, seconds in SECONDS.items() if seconds == self.seconds), f"{self.seconds} seconds")
        return f"{self.amount} per {time}"


@dataclass(frozen=True, slots=True)
class Quotas:
    """Rates at which somebody may create things: each a ``Rate``, a text such as ``"600/minute"``, or ``None`` for no limit.

    ``events`` are those that clients send, ephemeral ones too, and ``event_bytes`` the bytes of their bodies as JSON in UTF-8.
    ``conversations`` and ``invitations`` are what they say, and ``tickets`` those that open streams. Raises ``ConfigurationError``.
    """

    events: Rate | str | None = None
    event_bytes: Rate | str | None = None
    conversations: Rate | str | None = None
    invitations: Rate | str | None = None
    tickets: Rate | str | None = None

    def __post_init__(self) -> None:
        """Turn texts into rates."""
        for one in fields(self):
            given = getattr(self, one.name)
            if isinstance(given, str):
                try:
                    object.__setattr__(self, one.name, Rate.parse(given))
                except ConfigurationError as error:
                    raise ConfigurationError(f"Quotas, {one.name}: {error}") from None
            elif given is not None and not isinstance(given, Rate):
                raise ConfigurationError(f"Quotas takes a Rate or a text such as 600/minute for {one.name}, not {given!r}.")
        size = self.rates.get("event_bytes")
        if size is not None and size.amount < MAX_JSON:
            raise ConfigurationError(f"Quotas takes at least {MAX_JSON} for event_bytes, which the body of one event may have.")

    @property
    def rates(self) -> Mapping[str, Rate]:
        """The rates that there are, by the name of what they limit."""
        rates = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: rate for name, rate in rates.items() if rate is not None}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for each user of an application, and for all users of an application together.

    Admins and the host are not limited, and do not count. Raises ``ConfigurationError``.
    """

    per_user: Quotas = Quotas()
    per_application: Quotas = Quotas()

    def __post_init__(self) -> None:
        """Look at what was given."""
        for name in ("per_user", "per_application"):
            if not isinstance(getattr(self, name), Quotas):
                raise ConfigurationError(f"Limits takes Quotas for {name}, not {getattr(self, name)!r}.")

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self.per_user.rates or self.per_application.rates)
