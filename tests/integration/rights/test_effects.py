"""What a plain member can bring about for others, now and later, by each of the operations."""

from __future__ import annotations

from typing import Any

import pytest

from conversation_kit import Conversation, Member, MemberState, NotFound, User
from conversation_kit.testing import FakeClock
from tests.integration.conformance.contract import CONTRACT
from tests.support.world import World, make_kit, open_world

pytestmark = pytest.mark.anyio

EFFECTS: dict[str, set[str]] = {
    "createConversation": set(),
    "listConversations": set(),
    "retrieveConversation": set(),
    "replaceConversation": {"attributes"},
    "deleteConversation": set(),
    "createMember": {"invitation"},
    "getMembers": set(),
    "getMember": set(),
    "updateMember": set(),
    "deleteMember": {"guest"},
    "createEvent": {"muted"},
    "getEvents": set(),
    "getEvent": set(),
    "deleteEvent": set(),
    "getUsers": set(),
    "createUser": set(),
    "getUser": set(),
    "updateUser": set(),
    "deleteUser": set(),
    "getuserConversations": set(),
    "listLegs": set(),
    "deleteLeg": set(),
}
"""What a joined member that did not make the conversation does to others; ``docs/auth.md`` says the same in words.

``attributes`` of the conversation but its ``ttl``, an ``invitation`` for another user, a ``guest`` that it invited removed, who needs
another invitation then, another member ``muted``. Never: a conversation gone, an event changed, another member removed or kept out, a
call ended, a user changed.
"""

Facts = dict[str, Any]


class Place:
    """A conversation in which ``mallory`` is joined, and what the others have in it and beside it."""

    def __init__(self, world: World, clock: FakeClock) -> None:
        self.world, self.kit, self.clock = world, world.kit, clock
        self.mallory = ""
        self.guest = ""
        self.leg = ""

    async def facts(self) -> Facts:
        """What belongs to others than mallory, by what it is called when it changes."""
        kit, world = self.kit, self.world
        try:
            conversation, _ = await kit.conversations.retrieve(world.conversation)
            members = [member for member in (await kit.members.list(world.conversation)).items if member.id != self.mallory]
            events = await kit.events.list(world.conversation)
            kept_out = [exclusion.user_id for exclusion in (await kit.members.exclusions(world.conversation)).items]
        except NotFound:
            return {"conversation": "gone"}
        theirs = [member for member in members if member.id in world.members.values()]
        return {
            "conversation": "there",
            "attributes": _attributes(conversation),
            "ttl": (conversation.properties.get("ttl"), conversation.expires_at),
            "members": [_standing(member) for member in theirs],
            "guest": [(_standing(member), member.user_id in kept_out) for member in members if member.id == self.guest],
            "invitation": sum(
                member.state is MemberState.INVITED for member in members if member.id not in (self.guest, *map(_id, theirs))
            ),
            "muted": [_setting(member, "muted") for member in theirs],
            "earmuffed": [_setting(member, "earmuffed") for member in theirs],
            "events": [event.data for event in events if event.sender not in (self.mallory, None)][:5],
            "kept out": [member.user_id for member in theirs if member.user_id in kept_out],
            "legs": [(leg.id, leg.status) for leg in (await kit.legs.list()).items if leg.id == self.leg],
            "users": [_person(user) for user in (await kit.users.list()).items if user.name != "dee"],
        }

    async def attempts(self, operation: str) -> list[tuple[str, dict[str, Any]]]:
        """The requests of an operation that mallory might hope for most from: paths and bodies."""
        world, path = self.world, CONTRACT[operation]["path"]
        ana = {"user_id": world.users["ana"], "user_name": None}
        app = {"channel": {"type": "app"}}
        bodies: dict[str, list[dict[str, Any]]] = {
            "createConversation": [{"name": "room"}, {"name": "mine", "properties": {"ttl": 1}}],
            "replaceConversation": [
                {"properties": {"ttl": 1}},
                {"properties": None},
                {"name": "room 2", "display_name": "X", "numbers": {"a": 1}, "properties": {"note": 1}},
            ],
            "createMember": [
                {"action": "invite", "user_id": world.users["cy"], **app},
                {"action": "invite", "user_id": world.users["ana"], **app},
                {"action": "join", **{key: value for key, value in ana.items() if value}, **app},
                {"action": "join", "member_id": world.members["bo"], **app},
            ],
            "updateMember": [{"action": "join"}, {"action": "join", "channel": {"type": "phone", "number": "49"}}],
            "createEvent": [
                {"type": type, "to": to, "from": sender, "body": {"event_id": 1}}
                for type in ("audio:mute:on", "audio:mute:off", "audio:earmuff:on", "audio:earmuff:off", "text:seen", "event:delete")
                for to, sender in ((world.members["ana"], self.mallory), (world.members["max"], world.members["ana"]))
            ],
            "createUser": [{"name": "another"}],
            "updateUser": [{"name": "ana 2"}, {"display_name": "Fool"}],
        }
        found = []
        members = [world.members["ana"], world.members["max"], world.members["bo"], self.guest]
        for member in members if "{member_id}" in path else members[:1]:
            for event in (1, 4) if "{event_id}" in path else (1,):
                place = path.format(
                    conversation_id=world.conversation,
                    member_id=member,
                    event_id=event,
                    user_id=world.users["ana"],
                    leg_id=self.leg,
                )
                found += [(place, body) for body in bodies.get(operation, [{}])]
        return found


def _id(member: Member) -> str:
    return member.id


def _attributes(conversation: Conversation) -> object:
    properties = {key: value for key, value in conversation.properties.items() if key != "ttl"}
    return conversation.name, conversation.display_name, conversation.numbers, properties


def _standing(member: Member) -> object:
    return member.id, member.state, member.channel, member.user_name, member.seen


def _setting(member: Member, name: str) -> object:
    return (member.media or {}).get("audio_settings", {}).get(name, False)


def _person(user: User) -> object:
    return user.id, user.name, user.display_name


async def make_place(world: World, clock: FakeClock) -> Place:
    """The world's conversation, made by ana, in which max has muted himself and talks on the phone, and dee is mallory."""
    kit, place = world.kit, Place(world, clock)
    ana = kit.as_user("ana")
    world.conversation = (await ana.conversations.create("the room", properties={"ttl": 3600})).id
    world.members = {name: (await kit.as_user(name).members.join(world.conversation)).id for name in ("ana", "max")}
    world.members["bo"] = (await ana.members.invite(world.conversation, user_name="bo")).id
    await world.say()
    await kit.as_user("max").events.create(world.conversation, "audio:mute:on")
    await kit.as_user("max").events.create(world.conversation, "audio:earmuff:on")
    place.leg = (await kit.legs.start(world.conversation, "phone")).id
    mallory = kit.as_user("dee")
    place.mallory = (await mallory.members.join(world.conversation)).id
    await kit.users.create("guest")
    place.guest = (await mallory.members.invite(world.conversation, user_name="guest")).id
    await kit.as_user("guest").members.join(world.conversation)
    return place


def test_the_table_covers_all_operations() -> None:
    assert set(EFFECTS) == set(CONTRACT)


@pytest.mark.parametrize("operation", EFFECTS)
async def test_a_member_brings_about_for_others_what_the_table_says_and_no_more(operation: str) -> None:
    clock = FakeClock()
    async with open_world(make_kit(clock=clock)) as world:
        place = await make_place(world, clock)
        before = await place.facts()
        for path, body in await place.attempts(operation):
            response = await world.call(CONTRACT[operation]["method"], path, "dee", **({"json": body} if body else {}))
            assert response.status_code < 500, (path, body, response.text)
        changed = _changed(before, await place.facts())
        assert changed == EFFECTS[operation]
        # What comes of it when mallory and, by and by, all others have left: the creator's ttl, and nothing earlier.
        await _leave(world, ["dee"])
        clock.advance(3600 * 24)
        await world.kit.conversations.sweep()
        assert _changed(before, await place.facts()) == EFFECTS[operation]
        await _leave(world, ["ana", "max", "bo", "guest", "cy"])
        clock.advance(3599)
        assert (await place.facts())["conversation"] == "there"
        clock.advance(1)
        assert (await place.facts())["conversation"] == "gone"


def _changed(before: Facts, after: Facts) -> set[str]:
    return {name for name in before if before[name] != after.get(name)}


async def _leave(world: World, names: list[str]) -> None:
    for member in (await world.kit.members.list(world.conversation)).items:
        if member.is_active and member.user_name in names:
            await world.kit.as_user(member.user_name).members.remove(world.conversation, member.id)


async def test_who_mutes_another_member_is_told_by_the_log() -> None:
    async with open_world() as world:
        ana, max = world.members["ana"], world.members["max"]
        await world.kit.as_user("max").events.create(world.conversation, "audio:mute:on", to=ana)
        media = (await world.kit.events.list(world.conversation))[-1]
        assert (media.type, media.sender, media.body["member_id"]) == ("member:media", ana, ana)
        assert media.body["initiator"] == {"media": {"user_id": world.users["max"], "member_id": max}}
        for type in ("audio:mute:off", "audio:earmuff:on", "audio:earmuff:off"):
            body: dict[str, object] = {"type": type, "to": ana, "body": {}}
            refused = await world.json("POST", f"{world.path}/events", "max", status=403, json=body)
            assert refused["code"] == "event:error:permission-denied"
            await world.json("POST", f"{world.path}/events", "ana", status=201, json=body)
            await world.json("POST", f"{world.path}/events", status=201, json=body)
        last = (await world.kit.events.list(world.conversation))[-1]
        assert last.body["initiator"] == {"media": {"isSystem": True}}
        joined = await world.kit.as_user("dee").members.join(world.conversation, media={"audio_settings": {"enabled": True}})
        made = [event for event in await world.kit.events.list(world.conversation) if event.type == "member:media"][-1]
        assert made.body["initiator"] == {"media": {"user_id": world.users["dee"], "member_id": joined.id}}
