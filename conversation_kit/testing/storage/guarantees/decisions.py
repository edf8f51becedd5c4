"""The kit's own decisions, taken by the storage: on one scene they give the same, however often they are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from conversation_kit.decisions import conversations, events, legs, members
from conversation_kit.decisions.deciding import decide
from conversation_kit.domain.commands import (
    BanMember,
    Command,
    CreateEvent,
    DeleteConversation,
    DeleteEvent,
    DeleteLeg,
    InviteMember,
    JoinMember,
    MoveLeg,
    RemoveMember,
    StartLeg,
    UnbanMember,
    UpdateConversation,
    UpdateLeg,
)
from conversation_kit.domain.models import LegStatus
from conversation_kit.domain.principals import Actor, Principal
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.domain.values.moments import Moment
from conversation_kit.testing.harness.harness import APP, Bench, Contract

T = TypeVar("T")
HOST = Actor(Principal(APP, trusted=True), True)


@dataclass
class Twice:
    """A conversation in which every decision is taken twice; the storage gets the second answer."""

    bench: Bench
    conversation_id: str | None
    taken: int = 0

    async def __call__(self, decision: Callable[..., Changes[T]], command: Command, needs: Needs = Needs(), **bound: object) -> T:
        """Take a decision, and return its result."""
        once = partial(decide, needs, partial(decision, **bound), command, HOST, Moment(self.bench.tick()))

        def twice(scene: Scene) -> Changes[T]:
            first: Changes[T] = once(scene)
            again: Changes[T] = once(scene)
            assert first == again
            self.taken += 1
            return again

        return (await self.bench.storage.change(APP, self.conversation_id, needs, twice)).result


class DecisionsContract(Contract):
    """A storage may take a decision again, after a conflict or in a transaction of its own, and nothing is another one for it."""

    async def test_every_decision_of_the_kit_gives_the_same_when_it_is_taken_again(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, hall, ana, bo = await bench.conversation(), await bench.conversation(), await bench.user("ana"), await bench.user("bo")
            take, there = Twice(bench, room.id), Twice(bench, hall.id)
            of_ana, of_bo = [Needs(user_id=user.id, exclusion=True, live_legs=True) for user in (ana, bo)]
            phone = {"type": "phone"}
            member = await take(members.join, JoinMember(room.id, ana.id, channel=phone), of_ana)
            invited = await take(members.invite, InviteMember(room.id, bo.id, channel=phone), of_bo)
            said = await take(events.create, CreateEvent(room.id, "text", {"text": "hi"}, member.id), Needs(members=(member.id,)))
            seen = CreateEvent(room.id, "text:seen", {"event_id": said.id}, member.id)
            await take(events.create, seen, Needs(members=(member.id,), events=(said.id or 0,)))
            await take(events.delete, DeleteEvent(room.id, said.id or 0), Needs(events=(said.id or 0,), behind=said.id))
            await take(conversations.update, UpdateConversation(room.id, display_name="Room"), deleting=HOST)
            leg = await take(legs.start, StartLeg("phone", room.id, member.id), Needs(members=(member.id,), live_legs=True))
            elsewhere = Twice(bench, None)
            await elsewhere(legs.update, UpdateLeg(leg.id, LegStatus.ANSWERED), Needs(conversation_of=leg.id))
            move = MoveLeg(leg.id, hall.id)
            await take(legs.detach, move, Needs(members=(member.id,), legs=(leg.id,)), conversation_id=room.id)
            await there(legs.move, move, Needs(legs=(leg.id,)), old=leg)
            await elsewhere(legs.delete, DeleteLeg(leg.id), Needs(conversation_of=leg.id))
            await take(members.remove, RemoveMember(room.id, invited.id), Needs(members=(invited.id,), live_legs=True))
            await take(members.ban, BanMember(room.id, ana.id), of_ana)
            await take(members.unban, UnbanMember(room.id, ana.id), of_ana)
            ids = [event.id for event in await bench.log(room.id)]
            assert ids == list(range(1, len(ids) + 1))
            await there(conversations.expire, DeleteConversation(hall.id, is_expiry=True), Needs(live_legs=True), is_kept=False)
            await take(conversations.delete, DeleteConversation(room.id), Needs(live_legs=True))
            # Some storages take a decision more than once by themselves.
            assert take.taken + there.taken + elsewhere.taken >= 16
