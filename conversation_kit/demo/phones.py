"""The demo's telephony: phones that ring on the pages of its people. No sound passes; the kit keeps the record of each leg."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import TaskGroup

from conversation_kit.domain.errors import Conflict, ConversationKitError, Forbidden, InvalidInput, leg_not_found
from conversation_kit.domain.models import LegStatus, Member, MemberState
from conversation_kit.domain.values.ids import uuid7
from conversation_kit.kit import ConversationKit

logger = logging.getLogger("conversation_kit")

RING_SECONDS: Final = 30.0
"""Seconds for which a phone rings for nobody."""

CALL: Final = "custom:call"
"""The event that tells who called; its body has the ids of the legs and of the members whose phones they ring."""

BY_CALLEE: Final = frozenset({LegStatus.ANSWERED, LegStatus.REJECTED, LegStatus.COMPLETED})
BY_CALLER: Final = frozenset({LegStatus.CANCELLED, LegStatus.COMPLETED})


@dataclass(frozen=True, slots=True)
class Line:
    """One phone that rings or is off the hook."""

    conversation_id: str
    caller: str
    callee: str


class Phones:
    """Rings, answers and hangs up. ``group`` is where phones that nobody answers stop ringing."""

    def __init__(self, kit: ConversationKit, group: TaskGroup, ring_seconds: float = RING_SECONDS) -> None:
        self._kit = kit
        self._group = group
        self._ring_seconds = ring_seconds
        self._lines: dict[str, Line] = {}

    async def end_lost(self) -> None:
        """End the legs of a run before this one: their phones went with it."""
        async for leg in self._kit.legs.all():
            if leg.is_live:
                await self._kit.legs.update(leg.id, LegStatus.FAILED)

    async def call(self, caller: str, conversation_id: str) -> list[str]:
        """Ring everybody else who is joined, and say so in the log. Raises ``RequestError``, such as for who is not joined."""
        joined = await self._kit.as_user(caller).members.find(conversation_id, state=MemberState.JOINED)
        called = [member for member in joined if member.user_name != caller]
        if len(called) == len(joined):
            raise Forbidden("Only who is joined can call.", "event:error:not-joined")
        if not called:
            raise Conflict("There is nobody else to call.", "demo:error:nobody")
        if any(line.conversation_id == conversation_id for line in self._lines.values()):
            raise Conflict("There is a call already.", "demo:error:busy")
        legs = {str(uuid7()): member for member in called}
        # Known before anything is awaited, so that two who call at the same moment do not both.
        self._lines.update({id: Line(conversation_id, caller, member.user_name) for id, member in legs.items()})
        try:
            # The legs come first: whatever happens in between, the log tells of no call that nobody can end.
            for id, member in legs.items():
                await self._start(id, member, caller)
            body = {"legs": [{"leg_id": id, "member_id": member.id} for id, member in legs.items()]}
            await self._kit.as_user(caller).events.create(conversation_id, CALL, body)
        except BaseException:
            self._group.start_soon(self._give_up, list(legs))
            raise
        for id in legs:
            self._group.start_soon(self._ring, id)
        return list(legs)

    async def _start(self, leg_id: str, member: Member, caller: str) -> None:
        sender = {"type": "app", "user": caller}
        to = {"type": "phone", "user": member.user_name}
        await self._kit.legs.start(member.conversation_id, "phone", member_id=member.id, leg_id=leg_id, sender=sender, to=to)

    async def _give_up(self, legs: list[str]) -> None:
        for leg_id in legs:
            try:
                await self._kit.legs.update(leg_id, LegStatus.FAILED)
            except ConversationKitError as error:
                logger.info("leg %s of a call that did not come about: %s", leg_id, error)
            finally:
                self.forget(leg_id)

    async def _ring(self, leg_id: str) -> None:
        try:
            await self._kit.legs.update(leg_id, LegStatus.RINGING)
            await anyio.sleep(self._ring_seconds)
            await self._kit.legs.update(leg_id, LegStatus.UNANSWERED)
        except ConversationKitError as error:
            logger.debug("a phone stopped ringing: %s", error)  # answered, or over

    def forget(self, leg_id: str) -> None:
        """Forget a leg that has ended, however that came about."""
        self._lines.pop(leg_id, None)

    async def move(self, user: str, leg_id: str, status: str) -> None:
        """Answer, decline or end a leg, as the one who called or the one who is called. Raises ``RequestError``."""
        line = self._lines.get(leg_id)
        if line is None or user not in (line.caller, line.callee):
            raise leg_not_found(leg_id)
        try:
            wanted = LegStatus(status)
        except ValueError as error:
            raise InvalidInput({"status": f"must be one of {', '.join(sorted(BY_CALLEE | BY_CALLER))}"}) from error
        if wanted not in (BY_CALLER if user == line.caller else BY_CALLEE):
            raise Forbidden("That is for the other end to do.")
        await self._kit.legs.update(leg_id, wanted)
