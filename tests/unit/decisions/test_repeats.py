"""A decision is pure: a storage may take it again and gets the same changes, down to the ids of what is new."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest

from conversation_kit import decisions
from conversation_kit.decisions import conversations, events, legs, members, users
from conversation_kit.decisions.deciding import decide
from conversation_kit.domain.commands import (
    BanMember,
    BlockUser,
    CreateConversation,
    CreateEvent,
    CreateUser,
    DeleteConversation,
    DeleteEvent,
    DeleteLeg,
    DeleteUser,
    InviteMember,
    JoinMember,
    MoveLeg,
    RemoveMember,
    StartLeg,
    UnbanMember,
    UnblockUser,
    UpdateConversation,
    UpdateLeg,
    UpdateUser,
)
from conversation_kit.domain.errors import Unauthenticated
from conversation_kit.domain.models import Block, Exclusion, ExclusionKind, Leg, LegStatus
from conversation_kit.domain.scene import Needs, Ties
from conversation_kit.domain.values.ids import new_id
from conversation_kit.domain.values.moments import Moment
from tests.support.rooms import APP, NOW, Room, a_user, acting, admin, room_of

LEG = Leg(APP, "LEG-1", "phone", LegStatus.RINGING, "outbound", NOW, "SES-1", "CON-1", "MEM-ana-app")
AUDIO = {"audio_settings": {"enabled": True}}
CASES: dict[str, tuple[Callable[..., Any], object, dict[str, Any]]] = {
    "members.invite": (members.invite, InviteMember("CON-1", "USR-bo", channel={"type": "phone", "leg_ids": ["a", "b"]}), {}),
    "members.join": (members.join, JoinMember("CON-1", "USR-bo", channel={"type": "app"}, media=AUDIO), {}),
    "members.remove": (members.remove, RemoveMember("CON-1", "MEM-ana-app", reason_text="bye"), {}),
    "members.ban": (members.ban, BanMember("CON-1", "USR-bo", reason="spam"), {}),
    "members.unban": (members.unban, UnbanMember("CON-1", "USR-bo"), {}),
    "events.create": (events.create, CreateEvent("CON-1", "text", {"text": "hi"}, "MEM-ana-app"), {}),
    "events.delete": (events.delete, DeleteEvent("CON-1", 1), {}),
    "conversations.create": (conversations.create, CreateConversation(), {}),
    "conversations.update": (conversations.update, UpdateConversation("CON-1", display_name="Room"), {"deleting": admin()}),
    "conversations.delete": (conversations.delete, DeleteConversation("CON-1"), {}),
    "conversations.expire": (conversations.expire, DeleteConversation("CON-1", is_expiry=True), {"is_kept": False}),
    "users.create": (users.create, CreateUser(), {}),
    "users.update": (users.update, UpdateUser("USR-bo", display_name="Bo"), {}),
    "users.revoke_tokens": (users.revoke_tokens, UpdateUser("USR-bo"), {"since": None}),
    "users.delete": (users.delete, DeleteUser("USR-bo"), {}),
    "users.block": (users.block, BlockUser("USR-bo", "USR-ana"), {}),
    "users.unblock": (users.unblock, UnblockUser("USR-bo", "USR-cy"), {}),
    "legs.start": (legs.start, StartLeg("phone", "CON-1", "MEM-ana-app", "inbound"), {}),
    "legs.update": (legs.update, UpdateLeg("LEG-1", LegStatus.ANSWERED), {}),
    "legs.delete": (legs.delete, DeleteLeg("LEG-1"), {}),
    "legs.detach": (legs.detach, MoveLeg("LEG-1", "CON-2"), {"conversation_id": "CON-1"}),
    "legs.move": (legs.move, MoveLeg("LEG-2", "CON-1"), {"old": LEG}),
}


def full_room(decision: Callable[..., Any]) -> Room:
    """Return a room in which there is something for every decision to do."""
    room = room_of("ana", expires_at=NOW if decision is conversations.expire else None)
    room.legs = {"LEG-1": LEG, "LEG-2": Leg(APP, "LEG-2", "phone", LegStatus.ANSWERED, "outbound", NOW, "SES-2")}
    if decision is not conversations.expire:
        room.take(events.create, CreateEvent("CON-1", "text", {"text": "hello"}), acting("ana"))
    kind = ExclusionKind.REMOVED if decision is members.ban else ExclusionKind.BANNED
    room.exclusions["USR-bo"] = Exclusion(APP, "CON-1", "USR-bo", kind, NOW)
    return room


def test_every_decision_is_among_the_cases() -> None:
    found = set()
    for module in pkgutil.iter_modules(decisions.__path__):
        name = f"{decisions.__name__}.{module.name}"
        for function, value in inspect.getmembers(import_module(name), inspect.isfunction):
            parameters = list(inspect.signature(value).parameters)
            if value.__module__ == name and parameters[:4] == ["scene", "command", "actor", "moment"] and not function.startswith("_"):
                found.add(f"{module.name}.{function}")
    assert found == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_a_decision_that_is_taken_twice_gives_the_same(case: str) -> None:
    decision, command, bound = CASES[case]
    room = full_room(decision)
    ties = Ties(blocked=a_user("ana"), block=None if decision is users.block else Block(APP, "USR-bo", "USR-cy", NOW))
    scene, again = [replace(room.scene(admin(), "bo"), ties=ties) for _ in range(2)]
    moment = Moment(room.now)
    first = decision(scene, command, admin(), moment, **bound)
    assert first.signals or first.blocks or first.unblocked
    assert scene == again, "the scene is as it was"
    assert decision(again, command, admin(), moment, **bound) == first


def test_a_moment_makes_each_id_once() -> None:
    moment, other = Moment(NOW), Moment(NOW)
    made = [moment.id("MEM"), moment.id("SES", "a"), moment.id("SES", "b"), str(moment.uuid()), moment.secret()]
    assert len(set(made)) == len(made)
    assert made == [moment.id("MEM"), moment.id("SES", "a"), moment.id("SES", "b"), str(moment.uuid()), moment.secret()]
    assert not set(made) & {other.id("MEM"), other.id("SES", "a"), str(other.uuid()), other.secret()}
    assert Moment(NOW, lambda prefix: f"{prefix}-1").id("MEM") == "MEM-1"
    assert moment.id("MEM") < new_id("MEM")


def test_nothing_is_decided_for_somebody_whom_nobody_knows() -> None:
    command = CreateEvent("CON-1", "text", {"text": "hi"})
    scene = room_of("ana").scene(admin())
    with pytest.raises(Unauthenticated):
        decide(Needs(caller="ana"), events.create, command, acting("ana"), Moment(NOW), scene)
    assert decide(Needs(), events.create, command, admin(), Moment(NOW), scene).result.id == 1
