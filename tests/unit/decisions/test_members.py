"""Who is invited, who joins, who leaves, and who may come back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.decisions import members
from conversation_kit.domain.commands import BanMember, InviteMember, JoinMember, RemoveMember, UnbanMember
from conversation_kit.domain.errors import Conflict, Forbidden, NotFound, RequestError
from conversation_kit.domain.models import ACTIVE, Exclusion, ExclusionKind, JoinPolicy, LegStatus, MemberState
from conversation_kit.domain.principals import Actor, InvitationLimits, Policy
from conversation_kit.domain.scene import Invitations
from conversation_kit.domain.signals import MemberInvited, MemberJoined, MemberLeft
from tests.support.rooms import APP, NOW, Room, acting, admin, room_of

ANA, BO, CY = acting("ana"), acting("bo"), acting("cy")
INVITED, JOINED, LEFT = MemberState.INVITED, MemberState.JOINED, MemberState.LEFT
BANNED, REMOVED = ExclusionKind.BANNED, ExclusionKind.REMOVED


def invite(name: str) -> InviteMember:
    return InviteMember("CON-1", f"USR-{name}")


def join(name: str, member_id: str | None = None) -> JoinMember:
    return JoinMember("CON-1", f"USR-{name}", member_id=member_id)


def keep_out(room: Room, name: str, kind: ExclusionKind) -> None:
    room.exclusions[f"USR-{name}"] = Exclusion(APP, "CON-1", f"USR-{name}", kind, NOW)


def test_an_invitation_begins_with_its_own_event_and_names_who_invited() -> None:
    room = room_of("ana", sequence_number=4, messages=2)
    changes = room.take(members.invite, invite("bo"), ANA, "bo")
    member = changes.result
    assert (member.state, member.invited_by, member.since, member.seen, member.seen_messages) == (INVITED, "USR-ana", 5, 5, 2)
    assert [event.type for event in changes.events] == ["member:invited"]
    assert changes.signals[-1] == MemberInvited(APP, member)


def test_who_accepts_keeps_the_member_id_and_reads_from_the_invitation_on() -> None:
    room = room_of("ana")
    invited = room.take(members.invite, invite("bo"), ANA, "bo").result
    accepted = room.take(members.join, join("bo", member_id=invited.id), BO, "bo").result
    assert (accepted.id, accepted.state, accepted.since) == (invited.id, JOINED, invited.since)
    with pytest.raises(Conflict):
        room.take(members.join, join("bo", member_id=invited.id), BO, "bo")


def test_users_join_only_themselves() -> None:
    room = room_of("ana")
    room.put("bo", INVITED)
    for command in (join("bo"), join("bo", member_id="MEM-bo-app")):
        with pytest.raises(Forbidden):
            room.take(members.join, command, ANA, "bo")
        with pytest.raises(NotFound):
            room.take(members.join, command, CY, "bo")


def test_a_conversation_and_a_type_of_channel_hold_as_many_members_as_they_may() -> None:
    room = room_of("ana")
    small = Policy(max_members=1)
    with pytest.raises(Conflict, match="maximum-number"):
        room.take(members.invite, invite("bo"), acting("ana", small), "bo")
    with pytest.raises(Conflict, match="maximum-number"):
        room.take(members.join, join("bo"), acting("bo", small), "bo")
    with pytest.raises(Conflict, match="already-joined"):
        room.take(members.join, join("ana"), ANA, "ana")


@given(st.integers(0, 4), st.integers(0, 4), st.booleans(), st.booleans())
def test_users_invite_within_the_limits_and_admins_without_them(sent: int, received: int, blocked: bool, free: bool) -> None:
    policy = Policy(invitation_limits=InvitationLimits(sent=2, received=3))
    room = room_of("ana")
    room.invitations = Invitations(sent, received, blocked)
    assert replace(room).take(members.invite, invite("bo"), admin(policy), "bo").result.state is INVITED
    room = room_of("ana")
    room.invitations = Invitations(sent, received, blocked)
    may = not blocked and (free or (sent < 2 and received < 3))
    actor = acting("ana", policy, free=free)
    if may:
        assert room.take(members.invite, invite("bo"), actor, "bo").result.invited_by == "USR-ana"
    else:
        with pytest.raises((Forbidden, Conflict)):
            room.take(members.invite, invite("bo"), actor, "bo")


@given(
    st.sampled_from([None, REMOVED, BANNED]),
    st.sampled_from(["anyone", "invited"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_who_is_kept_out_comes_in_by_an_invitation_or_an_admin_alone(
    kind: ExclusionKind | None, policy: JoinPolicy, invited: bool, creator: bool, free: bool, by_admin: bool
) -> None:
    room = room_of("ana", created_by="USR-bo" if creator else None)
    if invited:
        room.put("bo", INVITED)
    if kind is not None:
        keep_out(room, "bo", kind)
    actor = admin() if by_admin else acting("bo", Policy(join=policy), free=free)
    may = by_admin or (kind is not BANNED and (free or invited or creator or (kind is None and policy == "anyone")))
    if may:
        changes = room.take(members.join, join("bo"), actor, "bo")
        assert changes.result.state is JOINED
        assert changes.signals[-1] == MemberJoined(APP, changes.result)
        assert not room.exclusions
        assert ("member:unbanned" in room.types()) == (kind is BANNED)
    else:
        with pytest.raises(NotFound):
            room.take(members.join, join("bo"), actor, "bo")
        assert room.types() == []


@given(st.sampled_from([None, REMOVED, BANNED]), st.booleans(), st.booleans())
def test_a_members_invitation_lifts_a_removal_and_only_an_admins_a_ban(kind: ExclusionKind | None, by_admin: bool, free: bool) -> None:
    room = room_of("ana")
    if kind is not None:
        keep_out(room, "bo", kind)
    actor = admin() if by_admin else acting("ana", free=free)
    if kind is BANNED and not by_admin:
        with pytest.raises(Forbidden, match="banned"):
            room.take(members.invite, invite("bo"), actor, "bo")
        assert room.exclusions
    else:
        room.take(members.invite, invite("bo"), actor, "bo")
        assert not room.exclusions


@pytest.mark.parametrize(
    ("actor", "error"),
    [(admin(), None), (acting("max"), None), (acting("bo"), None), (ANA, None), (acting("eve"), Forbidden), (CY, NotFound)],
    ids=["an admin", "the creator", "the member itself", "who invited it", "another member", "a stranger"],
)
def test_members_are_removed_by(actor: Actor, error: type[RequestError] | None) -> None:
    room = room_of("ana", "eve", created_by="USR-max")
    room.put("bo", invited_by="USR-ana")
    command = RemoveMember("CON-1", "MEM-bo-app")
    if error is not None:
        with pytest.raises(error):
            room.take(members.remove, command, actor)
        return
    changes = room.take(members.remove, command, actor)
    assert changes.result.state is LEFT
    assert list(changes.signals)[-1] == MemberLeft(APP, changes.result)
    by = actor.principal.user_name
    assert [one.kind for one in changes.exclusions] == ([] if by == "bo" else [REMOVED])
    with pytest.raises(Conflict):
        room.take(members.remove, command, admin())


def test_who_may_return_who_declines_and_the_creator_are_not_kept_out() -> None:
    room = room_of("bo", "max", created_by="USR-max")
    room.put("cy", INVITED)
    for command in (
        RemoveMember("CON-1", "MEM-bo-app", may_return=True),
        RemoveMember("CON-1", "MEM-max-app"),
        RemoveMember("CON-1", "MEM-cy-app"),
    ):
        assert not room.take(members.remove, command, admin()).exclusions


def test_a_ban_ends_all_memberships_and_calls_and_happens_once() -> None:
    room = room_of("ana")
    room.put("bo")
    room.put("bo", INVITED, channel={"type": "phone"})
    room.take(members.join, JoinMember("CON-1", "USR-bo", member_id="MEM-bo-phone", channel={"type": "phone"}), BO, "bo")
    changes = room.take(members.ban, BanMember("CON-1", "USR-bo", reason="spam"), admin(), "bo")
    assert [member.state for member in changes.members] == [LEFT, LEFT]
    assert [leg.status for leg in room.legs.values()] == [LegStatus.COMPLETED]
    assert (changes.result.kind, changes.result.reason) == (BANNED, "spam")
    assert room.types()[-1] == "member:banned"
    again = room.take(members.ban, BanMember("CON-1", "USR-bo", reason="more spam"), admin(), "bo")
    assert again.result == changes.result
    assert not again.events


def test_unbanning_tells_whether_anything_kept_the_user_out() -> None:
    for kind, types in ((BANNED, ["member:unbanned"]), (REMOVED, [])):
        room = room_of("ana")
        keep_out(room, "bo", kind)
        assert room.take(members.unban, UnbanMember("CON-1", "USR-bo"), admin(), "bo").result is True
        assert room.types() == types
        assert room.take(members.unban, UnbanMember("CON-1", "USR-bo"), admin(), "bo").result is False


names = st.sampled_from(["ana", "bo", "cy"])
steps = st.lists(st.tuples(st.sampled_from(["invite", "join", "remove", "ban", "unban"]), st.none() | names, names), max_size=25)


@given(steps)
def test_counters_tell_how_many_members_there_are_whatever_happens(story: list[tuple[str, str | None, str]]) -> None:
    room = room_of("ana", properties={"ttl": 60})
    for action, by, name in story:
        actor = admin() if by is None else acting(by)
        active = [one.id for one in room.members.values() if one.user_name == name and one.state in ACTIVE]
        try:
            if action == "invite":
                room.take(members.invite, invite(name), actor, name)
            elif action == "join":
                room.take(members.join, join(name), actor, name)
            elif action == "remove":
                room.take(members.remove, RemoveMember("CON-1", active[0] if active else "MEM-none"), actor)
            elif actor.is_free and action == "ban":
                room.take(members.ban, BanMember("CON-1", f"USR-{name}"), actor, name)
            elif actor.is_free:
                room.take(members.unban, UnbanMember("CON-1", f"USR-{name}"), actor, name)
        except RequestError:
            pass
        if room.conversation is not None and room.conversation.expires_at is not None:
            room.now = min(room.now, NOW)  # the time that an empty room has left is not what this is about
    conversation = room.conversation
    assert conversation is not None
    states = [member.state for member in room.members.values()]
    assert conversation.active_members == sum(state in ACTIVE for state in states)
    assert conversation.joined_members == states.count(JOINED)
    assert (conversation.expires_at is not None) == (conversation.joined_members == 0)
    assert sorted(room.events) == list(range(1, conversation.sequence_number + 1))
    for user_id, exclusion in room.exclusions.items():
        if exclusion.kind is BANNED:
            assert not [one for one in room.members.values() if one.user_id == user_id and one.state in ACTIVE]
