"""Who gets into a conversation: open and invitation-only ones, kicks, bans, blocks, and bounds on invitations."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from conversation_kit import (
    AccessRequest,
    BanMember,
    ConfigurationError,
    Conflict,
    Context,
    ExclusionKind,
    Forbidden,
    InvitationLimits,
    JoinMember,
    MemberState,
    NotFound,
    RemoveMember,
    RequestError,
)
from tests.support.world import World, make_kit, open_world

pytestmark = pytest.mark.anyio
HIDDEN = "conversation:error:not-found"


async def code(call: Any, error: type[RequestError] = RequestError) -> str:
    """The code of the error that the call raises."""
    with pytest.raises(error) as caught:
        await call
    return caught.value.code


async def join(world: World, who: str, conversation: str | None = None, **body: Any) -> Any:
    """What a client is told who asks to join: the status, and the body without what tells one request from another."""
    conversation = conversation or world.conversation
    body = {"action": "join", "channel": {"type": "app"}, **(body or {"user_id": world.users[who]})}
    response = await world.call("POST", f"/conversations/{conversation}/members", who, json=body)
    answer = response.json()
    return response.status_code, {key: value for key, value in answer.items() if key != "instance"} if response.is_error else answer[
        "state"
    ]


async def test_where_only_the_invited_join_a_stranger_learns_nothing_of_a_conversation() -> None:
    async with open_world(join="invited") as world:
        missing = await join(world, "dee", "CON-none")
        assert missing[0] == 404
        assert missing[1]["code"] == HIDDEN
        for body in ({}, {"user_name": "ana"}, {"user_id": world.users["ana"]}, {"member_id": world.members["ana"]}):
            assert await join(world, "dee", **body) == await join(world, "dee", "CON-none", **body) == missing, body
        assert await join(world, "cy") == missing, "who has left has to be invited again"
        assert await world.types() == ["member:joined"] * 3 + ["member:invited", "member:left"]


async def test_where_only_the_invited_join_the_invited_and_the_creator_do() -> None:
    async with open_world(join="invited") as world:
        assert await join(world, "bo") == (201, "joined")
        own = await world.kit.as_user("dee").conversations.create()
        assert await join(world, "dee", own.id) == (201, "joined")
        assert (await join(world, "ana", own.id))[0] == 404
        await world.kit.as_user("dee").members.invite(own.id, user_name="ana")
        assert await join(world, "ana", own.id) == (201, "joined")


async def test_who_is_a_member_already_joins_over_another_channel_too() -> None:
    async with open_world(join="invited") as world:
        for who in ("ana", "bo"):
            member = await world.kit.as_user(who).members.join(world.conversation, channel={"type": "phone", "number": "49"})
            assert member.state is MemberState.JOINED


async def test_the_host_admins_and_authorize_let_anybody_in() -> None:
    async with open_world(join="invited") as world:
        assert (await world.kit.members.join(world.conversation, user_name="dee")).state is MemberState.JOINED
        body = {"action": "join", "user_id": world.users["cy"], "channel": {"type": "app"}}
        await world.json("POST", f"{world.path}/members", status=201, json=body)

    def authorize(request: AccessRequest) -> bool | None:
        return True if request.action == "members.join" else None

    async with open_world(join="invited", authorize=authorize) as world:
        assert await join(world, "dee") == (201, "joined")


async def test_of_an_invitation_that_is_taken_back_while_it_is_accepted_exactly_one_holds() -> None:
    for _ in range(10):
        async with open_world(join="invited") as world:
            outcomes: list[object] = []

            async def note(call: Any, outcomes: list[object] = outcomes) -> None:
                try:
                    outcomes.append((await call).state)
                except RequestError as error:
                    outcomes.append(error.code)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(note, world.kit.as_user("ana").members.remove(world.conversation, world.members["bo"]))
                tasks.start_soon(note, world.kit.as_user("bo").members.join(world.conversation))
            assert outcomes in ([MemberState.LEFT, HIDDEN], [MemberState.JOINED, MemberState.LEFT])


async def test_a_policy_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"anyone.*invited.*not 'everyone'"):
        make_kit(join="everyone")
    for values in ({"sent": 0}, {"received": -1}):
        with pytest.raises(ConfigurationError, match="at least 1"):
            InvitationLimits(**values)


async def test_who_was_removed_by_somebody_else_comes_back_by_invitation_only() -> None:
    async with open_world() as world:
        await world.kit.as_user("bo").members.join(world.conversation)
        missing = await join(world, "bo", "CON-none")
        await world.json("DELETE", f"{world.path}/members/{world.members['bo']}", "ana")
        assert await join(world, "bo") == missing
        (kept_out,) = (await world.kit.members.exclusions(world.conversation)).items
        assert (kept_out.user_id, kept_out.kind, kept_out.excluded_by) == (
            world.users["bo"],
            ExclusionKind.REMOVED,
            world.users["ana"],
        )
        await world.kit.as_user("max").members.invite(world.conversation, user_name="bo")
        assert await join(world, "bo") == (201, "joined")
        assert (await world.kit.members.exclusions(world.conversation)).total == 0
        await world.json("DELETE", f"{world.path}/members/{world.members['max']}")
        assert (await join(world, "max"))[0] == 404, "an admin removed them"


async def test_who_leaves_declines_or_is_uninvited_may_come_back() -> None:
    async with open_world() as world:
        kit, room = world.kit, world.conversation
        assert await join(world, "cy") == (201, "joined"), "they had left"
        await kit.as_user("ana").members.remove(room, world.members["bo"])
        assert await join(world, "bo") == (201, "joined"), "the invitation was taken back"
        again = await kit.as_user("ana").members.invite(room, user_name="dee")
        await kit.as_user("dee").members.remove(room, again.id)
        assert await join(world, "dee") == (201, "joined"), "they had declined"
        await kit.members.remove(room, world.members["max"], sender=world.members["max"])
        assert await join(world, "max") == (201, "joined"), "an admin removed them on their own behalf"
        await kit.members.remove(room, world.members["ana"], may_return=True)
        assert await join(world, "ana") == (201, "joined"), "the host said so"
        assert (await kit.members.exclusions(room)).total == 0


async def test_a_hook_may_let_those_who_are_removed_come_back() -> None:
    kit = make_kit()

    @kit.before(RemoveMember)
    def lenient(command: RemoveMember, context: Context) -> RemoveMember:
        return RemoveMember(command.conversation_id, command.member_id, may_return=True)

    async with open_world(kit) as world:
        await kit.members.remove(world.conversation, world.members["max"])
        assert await join(world, "max") == (201, "joined")


async def test_the_creator_removes_anybody_and_is_not_kept_out_by_those_they_let_in() -> None:
    async with open_world() as world:
        kit = world.kit
        room = (await kit.as_user("dee").conversations.create()).id
        ana = await kit.as_user("ana").members.join(room)
        await kit.as_user("dee").members.remove(room, ana.id)
        assert (await join(world, "ana", room))[0] == 404
        await kit.as_user("max").members.join(room)
        dee = await kit.as_user("max").members.invite(room, user_name="dee")
        await kit.as_user("dee").members.join(room)
        await kit.as_user("max").members.remove(room, dee.id)
        assert await join(world, "dee", room) == (201, "joined")


async def test_a_ban_ends_all_memberships_and_holds_against_everybody_but_admins() -> None:
    async with open_world() as world:
        kit, room = world.kit, world.conversation
        await kit.as_user("max").members.join(room, channel={"type": "phone", "number": "49"})
        before = await world.types()
        exclusion = await kit.members.ban(room, user_name="max", reason="spam")
        assert (exclusion.kind, exclusion.reason, exclusion.excluded_by) == (ExclusionKind.BANNED, "spam", None)
        new = (await world.types())[len(before) :]
        assert [type for type in new if type.startswith("member:")] == ["member:left", "member:left", "member:banned"]
        event = (await kit.events.list(room))[-1]
        assert event.sender is None
        assert event.body["user"] == {"id": world.users["max"], "user_id": world.users["max"], "name": "max"}
        assert event.body["initiator"] == {"banned": {"isSystem": True}}
        assert event.body["reason"] == {"text": "spam"}
        assert (await join(world, "max"))[0] == 404
        assert await code(kit.as_user("ana").members.invite(room, user_name="max"), Forbidden) == "member:error:banned"
        assert await kit.members.ban(room, user_name="max", reason="again") == exclusion, "once"
        length = len(await world.types())
        member = await kit.members.invite(room, user_name="max")
        assert (await world.types())[length:] == ["member:unbanned", "member:invited"]
        assert (await kit.as_user("max").members.join(room)).id == member.id


async def test_who_was_never_a_member_can_be_banned_and_is_told_what_a_stranger_is_told() -> None:
    async with open_world() as world:
        await world.kit.members.ban(world.conversation, user_id=world.users["dee"])
        assert await join(world, "dee") == await join(world, "dee", "CON-none")
        assert await world.kit.members.unban(world.conversation, user_name="dee") is True
        assert await world.kit.members.unban(world.conversation, user_name="dee") is False
        assert (await world.types())[-2:] == ["member:banned", "member:unbanned"]
        assert await join(world, "dee") == (201, "joined")


async def test_a_ban_holds_for_the_creator_for_who_is_invited_and_against_authorize() -> None:
    async with open_world(authorize=lambda request: True if request.action in ("members.invite", "members.join") else None) as world:
        kit = world.kit
        room = (await kit.as_user("dee").conversations.create()).id
        await kit.members.invite(room, user_name="ana")
        for name in ("dee", "ana"):
            await kit.members.ban(room, user_name=name)
            assert await code(kit.as_user(name).members.join(room), NotFound) == HIDDEN
            assert await code(kit.as_user("max").members.invite(room, user_name=name), Forbidden) == "member:error:banned"
        assert (await kit.members.join(room, user_name="dee")).state is MemberState.JOINED, "the host's own call"
        assert (await kit.members.exclusions(room)).total == 1


async def test_only_admins_and_whom_authorize_lets_ban() -> None:
    async with open_world() as world:
        kit = world.kit
        for who in ("ana", "dee"):
            for room in (world.conversation, "CON-none"):
                members = kit.as_user(who).members
                for call in (members.ban(room, user_name="max"), members.unban(room, user_name="max"), members.exclusions(room)):
                    assert await code(call, Forbidden) == "system:error:permission"
        assert await code(kit.members.ban(world.conversation, user_name="nobody"), NotFound) == "user:error:not-found"
        assert await code(kit.members.ban("CON-none", user_name="max"), NotFound) == HIDDEN

    asked: list[AccessRequest] = []

    def authorize(request: AccessRequest) -> bool | None:
        asked.append(request)
        return True if request.action == "members.ban" and request.principal.user_name == "ana" else None

    async with open_world(authorize=authorize) as world:
        exclusion = await world.kit.as_user("ana").members.ban(world.conversation, user_name="max")
        assert exclusion.excluded_by == world.users["ana"]
        assert asked[-1].user_id == world.users["max"]


async def test_hooks_see_bans() -> None:
    kit = make_kit()
    seen: list[BanMember] = []
    kit.before(BanMember)(lambda command, context: seen.append(command))
    async with open_world(kit) as world:
        await kit.members.ban(world.conversation, user_name="max", reason="spam")
        assert seen == [BanMember(world.conversation, None, "max", "spam")]


async def test_a_user_blocks_whom_they_want_no_invitations_from() -> None:
    async with open_world() as world:
        kit, dee, ana = world.kit, world.users["dee"], world.users["ana"]
        invite = {"action": "invite", "user_id": dee, "channel": {"type": "app"}}
        assert await world.json("PUT", f"/users/{dee}/blocks/{ana}", "dee") == {}
        assert await world.json("PUT", f"/users/{dee}/blocks/{ana}", "dee") == {}
        (row,) = await world.json("GET", "/users/me/blocks", "dee")
        assert row["user_id"] == ana
        refused = await world.json("POST", f"{world.path}/members", "ana", status=403, json=invite)
        assert refused["code"] == "invitation:error:blocked"
        await world.json("POST", f"{world.path}/members", "max", status=201, json=invite)
        assert await world.json("DELETE", f"/users/{dee}/blocks/{ana}", "dee") == {}
        await kit.as_user("dee").members.remove(world.conversation, (await kit.members.list(world.conversation)).items[-1].id)
        await world.json("POST", f"{world.path}/members", "ana", status=201, json=invite)


async def test_a_block_is_a_users_own() -> None:
    async with open_world() as world:
        dee, ana = world.users["dee"], world.users["ana"]
        for method, path in (("GET", ""), ("PUT", f"/{ana}"), ("DELETE", f"/{ana}")):
            for user in (dee, "USR-none"):
                await world.json(method, f"/users/{user}/blocks{path}", "max", status=403)
            await world.json(method, f"/users/{dee}/blocks{path}", "stranger admin", status=404 if method != "DELETE" else 200)
        await world.json("PUT", f"/users/{dee}/blocks/USR-none", "dee", status=404)
        await world.json("PUT", f"/users/{dee}/blocks/{dee}", "dee", status=400)
        await world.json("PUT", f"/users/{dee}/blocks/{ana}")
        assert (await world.kit.users.blocks(dee)).total == 1
        assert (await world.kit.members.invite(world.conversation, user_name="dee", member_id_inviting=world.members["ana"])).is_active


async def test_a_user_has_so_many_unanswered_invitations_out_and_no_more() -> None:
    async with open_world(invitation_limits=InvitationLimits(sent=3, received=50)) as world:
        ana, room = world.kit.as_user("ana").members, world.conversation
        names = [(await world.kit.users.create()).name for _ in range(4)]
        first = [await ana.invite(room, user_name=name) for name in names[:2]]  # and bo's
        assert await code(ana.invite(room, user_name=names[3]), Conflict) == "invitation:error:too-many-sent"
        await world.kit.as_user("max").members.invite(room, user_name=names[3])
        await world.kit.as_user(names[0]).members.join(room)
        await ana.invite(room, user_name=names[2])
        assert await code(ana.invite(room, user_name="dee"), Conflict) == "invitation:error:too-many-sent"
        await ana.remove(room, first[1].id)
        await ana.invite(room, user_name="dee")


async def test_a_user_has_so_many_invitations_to_answer_and_no_more() -> None:
    async with open_world(invitation_limits=InvitationLimits(sent=50, received=2)) as world:
        kit = world.kit
        rooms = [(await kit.conversations.create()).id for _ in range(4)]
        for room in rooms:
            await kit.as_user("ana").members.join(room)
        for room in rooms[:2]:
            await kit.as_user("ana").members.invite(room, user_name="dee")
        refused = kit.as_user("ana").members.invite(rooms[2], user_name="dee")
        assert await code(refused, Conflict) == "invitation:error:too-many-received"
        await kit.members.invite(rooms[2], user_name="dee")
        await kit.as_user("dee").members.join(rooms[0])
        await kit.as_user("dee").members.join(rooms[1])
        await kit.as_user("ana").members.invite(rooms[3], user_name="dee")


async def test_joining_for_somebody_else_tells_nothing_of_a_conversation() -> None:
    async with open_world() as world:
        for body in (
            {"user_id": world.users["ana"]},
            {"user_name": "max"},
            {"user_id": "USR-none"},
            {"user_name": "nobody"},
            {"member_id": world.members["ana"]},
            {"user_id": world.users["ana"], "member_id_inviting": world.members["ana"]},
        ):
            assert await join(world, "dee", **body) == await join(world, "dee", "CON-none", **body), body
        assert (await join(world, "max", user_name="dee"))[0] == 403


async def test_a_join_that_a_hook_redirects_is_judged_as_what_it_becomes() -> None:
    kit = make_kit(join="invited")

    async with open_world(kit) as world:

        @kit.before(JoinMember)
        def elsewhere(command: JoinMember, context: Context) -> JoinMember:
            return JoinMember(world.conversation, command.user_id, command.user_name)

        assert (await join(world, "dee", "CON-none"))[0] == 404
