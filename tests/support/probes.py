"""What tests look at behind the public face of the kit; the names of it are known here only. Of the SQL storage: ``sql_probes.py``."""

from __future__ import annotations

import math
from collections.abc import Collection, Sized
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from conversation_kit import ConversationKit, Feed, JWTAuthenticator, Leg, MemoryBroker, MoveLeg, Subscription
from conversation_kit.brokers.parts import Parts
from conversation_kit.http.serving import request
from conversation_kit.http.serving.mounting import Receive
from conversation_kit.live.bus import Bus
from conversation_kit.meters.shared import SharedMeter
from tests.support.world import APP


def bus_of(kit: ConversationKit) -> Bus:
    """What passes signals on to the live streams."""
    return kit._context.bus


def counts(kit: ConversationKit) -> bool:
    """Whether what is created is counted for limits."""
    return kit._context.limiter is not None


def behind(meter: object) -> object:
    """The meter that several processes share, of the one that a process asks."""
    assert isinstance(meter, SharedMeter)
    return meter._shared


def sweep_again(kit: ConversationKit) -> None:
    """Let the next call look for conversations whose time is over, however short ago that was done."""
    kit._context._swept[APP] = -math.inf


def readers_of_long_answers(kit: ConversationKit) -> Collection[object]:
    """The users for whom long answers are under way."""
    return kit._resources.outgoing._by_user


async def detach_leg(kit: ConversationKit, leg: Leg, conversation_id: str) -> None:
    """Do the first half of moving a leg."""
    await kit.legs._detach(MoveLeg(leg.id, conversation_id), leg)


async def until_background_is_done(kit: ConversationKit) -> None:
    """Return when no receiver in the background is left that runs or waits."""
    with anyio.fail_after(30):
        while kit.stats().background_jobs:  # noqa: ASYNC110 (the end of a receiver tells nobody)
            await anyio.sleep(0.001)


async def until_heard(broker: MemoryBroker, loops: int = 1) -> None:
    """Return when so many event loops hear the broker."""
    with anyio.fail_after(30):
        while len(broker._listeners) < loops:
            await checkpoint()


def waiting_in(events: Subscription | Feed) -> Sized:
    """What waits to be taken."""
    return events._waiting


def size_of_waiting(events: Subscription | Feed) -> int:
    """Characters of what waits to be taken."""
    return events._size


def unfinished(parts: Parts) -> Collection[Any]:
    """Events of which some parts are missing."""
    return parts._unfinished.values()


def tokens_known(auth: JWTAuthenticator) -> int:
    """How many tokens are remembered."""
    return len(auth._cache)


def is_there(receive: Receive) -> bool:
    """Whether the server is known to have all of the body."""
    return request._is_there(receive)
