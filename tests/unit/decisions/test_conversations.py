"""What becomes of a conversation that somebody changes or deletes, or whose time has run out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.decisions import conversations, legs
from conversation_kit.domain.commands import DeleteConversation, StartLeg, UpdateConversation
from conversation_kit.domain.errors import Forbidden, NotFound
from conversation_kit.domain.models import LegStatus, MemberState
from conversation_kit.domain.principals import Actor
from conversation_kit.domain.signals import ConversationDeleted, ConversationUpdated, LegTerminated
from tests.support.rooms import NOW, Room, acting, admin, room_of

ANA, BO, MAX = acting("ana"), acting("bo"), acting("max")


def update(room: Room, actor: Actor, deleting: Actor | Forbidden | None = None, **values: Any) -> Any:
    return room.take(conversations.update, UpdateConversation("CON-1", **values), actor, deleting=actor if deleting is None else deleting)


def test_what_changes_is_told_with_who_did_it() -> None:
    room = room_of("ana")
    changes = update(room, ANA, display_name="Room", image_url="")
    assert (changes.result.display_name, changes.result.image_url, changes.result.updated) == ("Room", None, room.now)
    assert [(event.type, event.sender) for event in changes.events] == [("conversation:updated", "MEM-ana-app")]
    assert list(changes.signals)[-1] == ConversationUpdated("app", changes.result)


def test_what_changes_nothing_is_not_told() -> None:
    room = room_of("ana", display_name="Room", properties={"a": 1})
    for values in ({}, {"display_name": "Room"}, {"properties": {"a": 1}}, {"name": ""}, {"image_url": ""}):
        changes = update(room, ANA, **values)
        assert (changes.conversation, list(changes.events), list(changes.signals)) == (None, [], [])


keys = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3), max_size=3)


@given(keys, keys)
def test_properties_merge_key_by_key_and_none_clears(old: dict[str, int | None], new: dict[str, int | None]) -> None:
    old = {key: value for key, value in old.items() if value is not None}
    merged = update(room_of("ana", properties=old), ANA, properties=new).result.properties
    assert merged == {key: value for key, value in {**old, **new}.items() if value is not None}


def test_admins_joined_members_and_the_creator_have_a_say_and_nobody_else() -> None:
    room = room_of("ana", created_by="USR-max")
    room.put("bo", MemberState.INVITED)
    for number, actor in enumerate((admin(), ANA, MAX)):
        update(room, actor, display_name=f"{number}")
    with pytest.raises(Forbidden):
        update(room, BO, display_name="Bo's")
    with pytest.raises(NotFound):
        update(room, acting("cy"), display_name="Cy's")


def test_who_may_not_delete_a_conversation_does_not_give_it_a_ttl() -> None:
    room = room_of("ana", created_by="USR-max")
    with pytest.raises(Forbidden):
        update(room, ANA, properties={"ttl": 1})
    refusal = Forbidden("No.")
    with pytest.raises(Forbidden, match="No"):
        update(room, MAX, refusal, properties={"ttl": 1})
    update(room, ANA, refusal, properties={"colour": "red"})
    assert update(room, MAX, properties={"ttl": 1}).result.properties == {"colour": "red", "ttl": 1}


def test_a_ttl_runs_at_once_where_nobody_is_joined() -> None:
    assert update(room_of("ana"), admin(), properties={"ttl": 60}).result.expires_at is None
    empty = room_of()
    changes = update(empty, admin(), properties={"ttl": 60})
    assert changes.result.expires_at == empty.now + timedelta(seconds=60)
    assert update(empty, admin(), properties={"ttl": None}).result.expires_at is None


def test_the_creator_and_admins_delete_and_calls_end_with_it() -> None:
    for actor in (MAX, admin()):
        room = room_of("ana", created_by="USR-max")
        room.take(legs.start, StartLeg("phone", "CON-1", "MEM-ana-app"), admin())
        with pytest.raises(Forbidden):
            room.take(conversations.delete, DeleteConversation("CON-1"), ANA)
        changes = room.take(conversations.delete, DeleteConversation("CON-1"), actor)
        assert changes.destroyed
        assert [leg.status for leg in changes.legs] == [LegStatus.COMPLETED]
        assert [type(signal) for signal in changes.signals] == [LegTerminated, ConversationDeleted]
        with pytest.raises(NotFound):
            room.take(conversations.delete, DeleteConversation("CON-1"), actor)


def test_one_whose_time_has_run_out_goes_unless_a_hook_keeps_it() -> None:
    command = DeleteConversation("CON-1", is_expiry=True)
    for expires_at, is_kept, removed in (
        (NOW, False, True),
        (NOW, True, False),
        (NOW + timedelta(hours=1), False, False),
        (None, False, False),
    ):
        room = room_of(expires_at=expires_at)
        changes = room.take(conversations.expire, command, admin(), is_kept=is_kept)
        assert (changes.result, changes.destroyed) == (removed, removed)
        if is_kept:
            assert room.conversation is not None
            assert room.conversation.expires_at is None
    assert Room(None).take(conversations.expire, command, admin(), is_kept=False).result is False
