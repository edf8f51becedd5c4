"""What becomes of a leg that starts, moves on, moves elsewhere or ends."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.decisions import legs, members
from conversation_kit.domain.commands import DeleteLeg, JoinMember, MoveLeg, StartLeg, UpdateLeg
from conversation_kit.domain.errors import Conflict, NotFound
from conversation_kit.domain.models import Conversation, Leg, LegStatus
from conversation_kit.domain.signals import LegStarted, LegTerminated, LegUpdated
from tests.support.rooms import APP, NOW, Room, acting, admin, room_of

HOST = admin()


def started(room: Room, **values: Any) -> Leg:
    return room.take(legs.start, StartLeg("phone", "CON-1", "MEM-ana-app", **values), HOST).result


def test_a_leg_shows_in_the_channel_of_its_member_and_in_the_log() -> None:
    room = room_of("ana")
    changes = room.take(legs.start, StartLeg("phone", "CON-1", "MEM-ana-app"), HOST)
    leg = changes.result
    assert UUID(leg.id).version == 7
    assert (leg.conversation_id, leg.member_id, leg.status) == ("CON-1", "MEM-ana-app", LegStatus.STARTED)
    assert room.members["MEM-ana-app"].channel == {"type": "app", "leg_id": leg.id, "leg_ids": [{"leg_id": leg.id}]}
    assert room.types() == ["leg:status:update"]
    assert LegStarted(APP, leg) in changes.signals


def test_an_inbound_leg_has_an_id_of_hex_digits_and_a_host_brings_its_own() -> None:
    assert len(started(room_of("ana"), direction="inbound").id) == 32
    room = room_of("ana")
    assert started(room, leg_id="carrier/7").id == "carrier/7"
    with pytest.raises(Conflict):
        started(room, leg_id="carrier/7")


def test_a_knockers_leg_is_taken_over_by_who_joins_with_its_id() -> None:
    room = room_of("ana")
    knocker = Room(None).take(legs.start, StartLeg("phone", direction="inbound"), HOST).result
    assert knocker.knocking_id is not None
    assert UUID(knocker.knocking_id).version == 4
    room.legs[knocker.id] = knocker
    command = JoinMember("CON-1", "USR-bo", channel={"type": "phone"}, knocking_id=knocker.knocking_id)
    member = room.take(members.join, command, acting("bo"), "bo").result
    assert member.channel["leg_id"] == knocker.id
    assert (room.legs[knocker.id].member_id, room.legs[knocker.id].knocking_id) == (member.id, None)
    with pytest.raises(NotFound, match="knocking"):
        room.take(members.join, JoinMember("CON-1", "USR-cy", knocking_id=knocker.knocking_id), acting("cy"), "cy")


def test_users_cannot_make_up_legs_and_nobody_takes_anothers() -> None:
    room = room_of("ana")
    leg = started(room)
    with pytest.raises(NotFound):
        room.take(members.join, JoinMember("CON-1", "USR-bo", channel={"type": "phone", "leg_id": "mine"}), acting("bo"), "bo")
    with pytest.raises(Conflict):
        room.take(members.join, JoinMember("CON-1", "USR-bo", channel={"type": "phone", "leg_id": leg.id}), acting("bo"), "bo")


@given(st.lists(st.sampled_from(LegStatus), max_size=12))
def test_a_leg_is_told_of_once_for_each_step_and_ends_once(reports: list[LegStatus]) -> None:
    room = room_of("ana")
    leg = started(room)
    ends = 0
    for status in reports:
        before = room.legs[leg.id]
        changes = room.take(legs.update, UpdateLeg(leg.id, status), HOST)
        ends += sum(isinstance(signal, LegTerminated) for signal in changes.signals)
        assert (len(changes.events) > 0) == (room.legs[leg.id].status is not before.status)
    assert ends == (not room.legs[leg.id].is_live)
    assert room.types().count("leg:status:update") == len(room.legs[leg.id].history)


def test_what_the_carrier_says_afterwards_is_noted_without_an_event() -> None:
    room = room_of("ana")
    leg = started(room)
    room.take(legs.delete, DeleteLeg(leg.id), HOST)
    assert room.types()[-1] == "sip:hangup"
    changes = room.take(legs.update, UpdateLeg(leg.id, price="0.01", duration=3), HOST)
    assert (room.legs[leg.id].price, room.legs[leg.id].duration, list(changes.events)) == ("0.01", 3, [])
    assert [type(signal) for signal in changes.signals] == [LegUpdated]
    assert list(room.take(legs.delete, DeleteLeg(leg.id), HOST).removed_legs) == [leg.id]


def test_a_leg_that_was_moved_meanwhile_is_left_alone() -> None:
    room = room_of("ana")
    leg = started(room)
    with pytest.raises(Conflict):
        room.take(legs.detach, MoveLeg(leg.id, "CON-3"), HOST, conversation_id="CON-2")
    with pytest.raises(Conflict):
        room.take(legs.move, MoveLeg(leg.id, "CON-1"), HOST, old=leg)


def test_a_leg_moves_from_one_conversation_to_another() -> None:
    room, hall = room_of("ana"), Room(Conversation(APP, "CON-2", "hall", NOW))
    hall.put("bo")
    leg = started(room)
    command = MoveLeg(leg.id, "CON-2", "MEM-bo-app")
    room.take(legs.detach, command, HOST, conversation_id="CON-1")
    assert (room.legs[leg.id].conversation_id, room.members["MEM-ana-app"].channel) == (None, {"type": "app"})
    hall.legs[leg.id] = room.legs[leg.id]
    moved = hall.take(legs.move, command, HOST, old=leg).result
    assert (moved.conversation_id, moved.member_id) == ("CON-2", "MEM-bo-app")
    assert (room.types()[-1], hall.types()) == ("rtc:transfer", ["rtc:transfer"])
    with pytest.raises(Conflict):
        hall.take(legs.move, command, HOST, old=leg)


def test_a_leg_in_a_conversation_that_is_gone_goes_on_without_a_log() -> None:
    room = room_of("ana")
    leg = started(room)
    room.conversation = None
    changes = room.take(legs.update, UpdateLeg(leg.id, LegStatus.ANSWERED), HOST)
    assert ([one.status for one in changes.legs], list(changes.events)) == ([LegStatus.ANSWERED], [])
    assert [one.conversation_id for one in room.take(legs.detach, MoveLeg(leg.id, "CON-2"), HOST, conversation_id="CON-1").legs] == [None]
    with pytest.raises(NotFound):
        room.take(legs.delete, DeleteLeg("none"), HOST)
