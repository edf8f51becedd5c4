"""The decision whether somebody may create one more: asked before hooks and storage, by whoever comes through whichever door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from math import ceil

from conversation_kit.domain.errors import ConfigurationError, TooManyRequests
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.values.limits import Limits, Rate
from conversation_kit.meters.factory import STORAGE, make_meter
from conversation_kit.ports import Connected, Meter, Reading, Storage, Taking

OF_APPLICATION = "application."
"""Beginning of the name of an application's limit."""

_WORDS = {
    "events": "events",
    "event_bytes": "bytes of events",
    "conversations": "conversations",
    "invitations": "invitations",
    "tickets": "tickets",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Reading of the limit called ``name``, to be told to the caller."""

    name: str
    reading: Reading


_told: ContextVar[Sequence[Usage]] = ContextVar("conversation_kit_usages", default=())


class Limiter:
    """The limits of one kit, and the meter that counts for them, ``in_storage`` if that is in the database of the kit's storage."""

    def __init__(self, limits: Limits, meter: Meter, *, in_storage: bool = False) -> None:
        self._limits = limits
        self._in_storage = in_storage
        self._per_user = limits.per_user.rates
        self._per_application = limits.per_application.rates
        self._meter = meter

    async def take(self, principal: Principal, amounts: Mapping[str, int]) -> None:
        """Count what ``principal`` is about to create, by the names of ``Quotas``. Admins and the host are not counted.

        Raises ``TooManyRequests`` if that is more than there may be; then nothing is counted.
        """
        user = principal.user_name
        if user is None or principal.trusted:
            return
        names: list[str] = []
        takings: list[Taking] = []
        for name, amount in amounts.items():
            if (rate := self._per_user.get(name)) is not None:
                names.append(name)
                takings.append(Taking(principal.application_id, f"{name}:{user}", amount, rate))
            if (rate := self._per_application.get(name)) is not None:
                names.append(OF_APPLICATION + name)
                takings.append(Taking(principal.application_id, name, amount, rate))
        if not takings:
            return
        readings = await self._meter.take(takings)
        usages = [Usage(name, reading) for name, reading in zip(names, readings, strict=True)]
        exceeded = [usage for usage in usages if not usage.reading.is_enough]
        # How much others use is nobody's business, until there is none left.
        _told.set([usage for usage in usages if usage in exceeded or not usage.name.startswith(OF_APPLICATION)])
        if exceeded:
            raise _too_many(max(exceeded, key=lambda usage: usage.reading.seconds))

    async def close(self) -> None:
        """Release what the meter holds; the next use begins anew."""
        if isinstance(self._meter, Connected):
            await self._meter.close()

    def within(self, storage: Storage) -> Limiter:
        """Return the same limits for a transaction of the host's, which ``storage`` is: it counts there, if storages count."""
        return Limiter(self._limits, storage) if self._in_storage and isinstance(storage, Meter) else self


def make_limiter(
    limits: Limits | None, meter: str | Meter | None, storage: Storage, opened: Callable[[], Awaitable[Storage]]
) -> Limiter | None:
    """Return what keeps to ``limits``, if there are any, counting by ``meter``: see ``make_meter``. Raises ``ConfigurationError``."""
    if limits is None:
        if meter is not None:
            raise ConfigurationError("meter= counts for limits=: give both, or none.")
        return None
    if not isinstance(limits, Limits):
        raise ConfigurationError(f"limits= takes Limits, not {limits!r}.")
    made = make_meter(meter, storage, opened)
    return Limiter(limits, made, in_storage=meter == STORAGE) if limits else None


def begin_telling() -> None:
    """Forget what earlier calls of this task were told."""
    _told.set(())


def told() -> Sequence[Usage]:
    """Return the usages of the last creation in this task since ``begin_telling``: of the caller's own limits, and of exceeded ones."""
    return _told.get()


def _too_many(usage: Usage) -> TooManyRequests:
    own = not usage.name.startswith(OF_APPLICATION)
    rate: Rate = usage.reading.rate
    seconds = usage.reading.seconds
    who, what = ("You", usage.name) if own else ("This application", usage.name.removeprefix(OF_APPLICATION))
    verb = "have" if own else "has"
    return TooManyRequests(
        f"{who} {verb} had as many {_WORDS[what]} as may be, {rate}: try again in {ceil(seconds) or 1} s.", retry_after=seconds
    )
