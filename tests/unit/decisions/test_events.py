"""What becomes of an event that somebody posts or deletes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.decisions import events
from conversation_kit.domain.commands import CreateEvent, DeleteEvent
from conversation_kit.domain.errors import Forbidden, InvalidInput, NotFound
from conversation_kit.domain.models import MemberState, unread
from conversation_kit.domain.principals import Actor, Policy
from conversation_kit.domain.signals import EventCreated, EventDeleted
from conversation_kit.domain.values.checks import to_json
from tests.support.rooms import Room, acting, admin, room_of

ANA, BO, CY = acting("ana"), acting("bo"), acting("cy")


def text(**values: str) -> CreateEvent:
    return CreateEvent("CON-1", "text", {"text": "hi"}, **values)


def test_a_message_takes_the_next_id_and_moves_its_senders_pointer_alone() -> None:
    room = room_of("ana", "bo", sequence_number=7, messages=3)
    changes = room.take(events.create, text(), ANA)
    assert (changes.result.id, changes.result.sender, changes.result.messages) == (8, "MEM-ana-app", 4)
    assert [(one.member_id, one.seen, one.seen_messages) for one in changes.pointers] == [("MEM-ana-app", 8, 4)]
    assert list(changes.signals) == [EventCreated("app", changes.result)]
    assert not changes.members


def test_the_json_that_is_there_is_not_made_again() -> None:
    room = room_of("ana")
    assert '"body":{"text": "hi"}' in room.take(events.create, text(), ANA, body_text='{"text": "hi"}').result.data
    assert f'"body":{to_json({"text": "hi"})}' in room.take(events.create, text(), ANA).result.data


def test_only_joined_members_post_and_strangers_learn_of_nothing() -> None:
    room = room_of("ana")
    room.put("bo", MemberState.INVITED)
    with pytest.raises(Forbidden):
        room.take(events.create, text(), BO)
    with pytest.raises(NotFound):
        room.take(events.create, text(), CY)
    with pytest.raises(Forbidden):
        room.take(events.create, text(sender="MEM-bo-app"), ANA)
    with pytest.raises(NotFound):
        Room(None).take(events.create, text(), admin())


def test_the_application_posts_for_itself_or_for_a_member() -> None:
    room = room_of("ana")
    assert room.take(events.create, text(), admin()).result.sender is None
    assert room.take(events.create, text(sender="MEM-ana-app"), admin()).result.sender == "MEM-ana-app"


def test_who_is_joined_over_two_channels_has_to_say_over_which_one() -> None:
    room = room_of("ana")
    room.put("ana", channel={"type": "phone"})
    with pytest.raises(InvalidInput):
        room.take(events.create, text(), ANA)
    assert room.take(events.create, text(sender="MEM-ana-phone"), ANA).result.sender == "MEM-ana-phone"


def test_typing_has_no_id_and_leaves_no_trace() -> None:
    room = room_of("ana")
    changes = room.take(events.create, CreateEvent("CON-1", "text:typing:on", {}), ANA)
    assert changes.result.id is None
    assert list(changes.signals) == [EventCreated("app", changes.result)]
    assert (changes.conversation, list(changes.events)) == (None, [])


def test_a_type_of_the_hosts_is_a_message_where_the_policy_has_it() -> None:
    for policy, messages in ((Policy(), 0), (Policy(frozenset({"shop:order"})), 1)):
        changes = room_of("ana").take(events.create, CreateEvent("CON-1", "shop:order", {}), acting("ana", policy))
        assert changes.result.messages == messages


def test_the_second_receipt_of_a_member_is_answered_with_the_first() -> None:
    room = room_of("ana", "bo")
    said = room.take(events.create, text(), ANA).result
    seen = CreateEvent("CON-1", "text:seen", {"event_id": said.id})
    first = room.take(events.create, seen, BO)
    assert [(one.event_id, one.member_id, one.receipt_id) for one in first.receipts] == [(1, "MEM-bo-app", 2)]
    again = room.take(events.create, seen, BO)
    assert again.result.data == first.result.data
    assert not again.events
    assert not again.receipts


def test_a_receipt_needs_an_event_and_a_member() -> None:
    room = room_of("ana")
    with pytest.raises(NotFound):
        room.take(events.create, CreateEvent("CON-1", "text:seen", {"event_id": 9}), ANA)
    room.take(events.create, text(), ANA)
    with pytest.raises(InvalidInput):
        room.take(events.create, CreateEvent("CON-1", "text:seen", {"event_id": 1}), admin())


def test_members_mute_each_other_and_unmute_only_themselves() -> None:
    room = room_of("ana", "bo")
    mute, unmute = [CreateEvent("CON-1", f"audio:mute:{way}", {}, to="MEM-bo-app") for way in ("on", "off")]
    assert room.take(events.create, mute, ANA).members[0].media == {"audio_settings": {"muted": True}}
    assert room.types() == ["audio:mute:on", "member:media"]
    with pytest.raises(Forbidden):
        room.take(events.create, unmute, ANA)
    assert room.take(events.create, unmute, BO).members[0].media == {"audio_settings": {"muted": False}}


def test_a_deleted_event_leaves_its_place_and_counts_no_more_as_unread() -> None:
    room = room_of("ana", "bo")
    room.take(events.create, text(), ANA)
    changes = room.take(events.delete, DeleteEvent("CON-1", 1), ANA)
    assert (changes.result.id, list(changes.result.body)) == (1, ["timestamp"])
    assert room.types() == ["text", "event:delete"]
    assert [type(signal) for signal in changes.signals] == [EventCreated, EventDeleted]
    assert room.conversation is not None
    assert unread(room.conversation, room.members["MEM-bo-app"]) == 0


def test_deleting_twice_changes_nothing_more() -> None:
    room = room_of("ana")
    room.take(events.create, text(), ANA)
    first = room.take(events.delete, DeleteEvent("CON-1", 1), ANA)
    again = room.take(events.delete, DeleteEvent("CON-1", 1), admin())
    assert again.result == first.result
    assert (again.conversation, list(again.events), list(again.signals)) == (None, [], [])


def test_only_the_author_and_an_admin_delete() -> None:
    room = room_of("ana", "bo")
    room.take(events.create, text(), ANA)
    with pytest.raises(Forbidden):
        room.take(events.delete, DeleteEvent("CON-1", 1), BO)
    with pytest.raises(NotFound):
        room.take(events.delete, DeleteEvent("CON-1", 2), admin())
    deletion = room.take(events.delete, DeleteEvent("CON-1", 1), admin()).events[0]
    assert deletion.body == {"event_id": 1, "initiator": {"deleted": {"isSystem": True}}}


steps = st.lists(
    st.tuples(
        st.sampled_from(["text", "audio:dtmf", "text:seen", "delete", "text:typing:on"]), st.sampled_from([ANA, BO]), st.integers(1, 12)
    ),
    max_size=25,
)


@given(steps, st.integers(0, 1000))
def test_ids_have_no_gaps_and_pointers_never_go_back_whatever_happens(story: list[tuple[str, Actor, int]], since: int) -> None:
    room = room_of("ana", "bo", sequence_number=since)
    for action, actor, number in story:
        before = dict(room.members)
        command = CreateEvent("CON-1", action, {"text": "x"} if action == "text" else {"event_id": since + number})
        try:
            if action == "delete":
                room.take(events.delete, DeleteEvent("CON-1", since + number), actor)
            else:
                room.take(events.create, command, actor)
        except (Forbidden, NotFound):
            pass
        assert all(
            member.seen >= before[id].seen and member.seen_messages >= before[id].seen_messages for id, member in room.members.items()
        )
    assert room.conversation is not None
    assert sorted(room.events) == list(range(since + 1, room.conversation.sequence_number + 1))
    assert all(event.id == id for id, event in room.events.items())
    for member in room.members.values():
        unseen = [one for id, one in room.events.items() if id > member.seen and one.type == "text" and not one.is_deleted]
        assert unread(room.conversation, member) == len(unseen)
