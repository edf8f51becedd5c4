from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import conversation_kit
from conversation_kit import (
    ADMIN,
    ConfigurationError,
    ConversationKit,
    Forbidden,
    HostAuthenticator,
    HostUser,
    JWTAuthenticator,
    MemoryStorage,
    NotFound,
    StorageUnavailable,
    Unauthenticated,
)
from conversation_kit.testing import FakeClock
from tests.support.world import APP, OTHER, World, keys, make_kit, open_world

pytestmark = pytest.mark.anyio

PUBLIC = """
ADMIN Access AccessRequest Action AnswerLimits Authenticator BanMember Block BlockUser Broker BrokerMessage Capabilities Changes
Client Command ConfigurationError Conflict Context Conversation ConversationCreated ConversationDeleted ConversationKit
ConversationKitError ConversationUpdated CreateConversation CreateEvent CreateUser DeleteConversation DeleteEvent DeleteLeg
DeleteUser EphemeralEvent Event EventCreated EventDeleted EventPage EventRange Exclusion ExclusionKind Feed Forbidden HookFailed
HostAuthenticator HostClient HostUser InvalidInput InvitationLimits InviteMember JWTAuthenticator JoinMember Leg LegStarted
LegStatus LegTerminated LegUpdated Limits LogAdvanced Member MemberInvited MemberJoined MemberLeft MemberState MemoryBroker
MemoryMeter MemoryStorage Meter Migrates Migration MoveLeg Needs NotFound Observable OutcomeUnknown Page Pointer Principal Quotas
Rate Reading Receipt ReceiptKind Rejected RemoveMember RequestError RequestRefused Scene Signal Slice StartLeg Stats Storage
StorageUnavailable StreamEnded StreamLimits Subscription Taking TooManyRequests UNCHANGED Unauthenticated UnbanMember UnblockUser
UpdateConversation UpdateLeg UpdateUser User UserCreated UserDeleted UserUpdated unread
"""


def test_the_public_names_are_these() -> None:
    assert sorted(conversation_kit.__all__) == PUBLIC.split()
    for name in conversation_kit.__all__:
        assert getattr(conversation_kit, name) is not None


def test_a_kit_needs_a_way_to_know_who_calls() -> None:
    with pytest.raises(TypeError):
        ConversationKit(storage="memory://")  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="auth="):
        ConversationKit(storage="memory://", auth=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("storage", ["mongodb://x", "chat.db", "", object(), MemoryStorage])
def test_a_storage_that_is_none_is_refused_with_a_hint(storage: object) -> None:
    with pytest.raises(ConfigurationError, match=r"memory://|URL"):
        make_kit(storage)  # type: ignore[arg-type]


async def test_with_several_applications_the_host_says_which() -> None:
    auth = JWTAuthenticator({APP: keys(APP)[1], OTHER: keys(OTHER)[1]})
    kit = ConversationKit(storage="memory://", auth=auth)
    with pytest.raises(ConfigurationError, match="application_id"):
        await kit.users.create("ana")
    user = await kit.application(OTHER).users.create("ana")
    assert user.application_id == OTHER
    assert (await kit.as_user("ana", application_id=OTHER).users.get(user.id)) == user


async def test_the_host_acts_unrestricted_and_as_a_user_by_the_users_rights() -> None:
    async with open_world() as world:
        kit = world.kit
        assert (await kit.users.named("ana")).id == world.users["ana"]
        ana = kit.as_user("ana")
        assert (await ana.users.named("ana")).id == world.users["ana"]
        with pytest.raises(Forbidden):
            await ana.users.named("bo")
        with pytest.raises(Forbidden):
            await ana.users.list()
        with pytest.raises(NotFound):
            await kit.as_user("dee").conversations.get(world.conversation)
        with pytest.raises(Unauthenticated):
            await kit.as_user("nobody").conversations.create()
        with pytest.raises(NotFound):
            await kit.users.delete("USR-none")
        assert (await kit.conversations.get(world.conversation)).active_members == 3


async def test_a_kit_goes_by_the_clock_that_it_is_given() -> None:
    clock = FakeClock()
    async with (kit := make_kit(clock=clock)).lifespan():
        room = await kit.conversations.create(properties={"ttl": 60})
        assert (await kit.conversations.get(room.id)).created == clock()


def host_kit(create_users: bool) -> ConversationKit:
    def identify(scope: object) -> object:
        headers = dict(scope["headers"])  # type: ignore[index]
        name = headers.get(b"x-user", b"").decode()
        if name == "root":
            return ADMIN
        return HostUser(name, display_name=name.title()) if name else None

    return ConversationKit(storage=MemoryStorage(), auth=HostAuthenticator(identify, create_users=create_users))  # type: ignore[arg-type]


async def test_the_hosts_own_user_is_created_on_first_sight_when_the_host_wants_that() -> None:
    async with open_world(host_kit(create_users=True), populate=False) as world:
        assert (await world.call("GET", "/users", None)).status_code == 401
        made = await world.json("POST", "/conversations", None, headers={"X-User": "ana"})
        joined = await world.json(
            "POST", f"/conversations/{made['id']}/members", None, status=201, headers={"X-User": "bo"}, json={"action": "join"}
        )
        rows = await world.json("GET", "/users", None, headers={"X-User": "root"})
        assert [row["name"] for row in rows] == ["ana", "bo"]
        user = await world.json("GET", f"/users/{joined['user_id']}", None, headers={"X-User": "bo"})
        assert user["display_name"] == "Bo"


async def test_a_host_user_that_was_removed_is_created_again() -> None:
    async with open_world(host_kit(create_users=True), populate=False) as world:
        await world.json("POST", "/conversations", None, headers={"X-User": "ana"})
        await world.kit.users.delete((await world.kit.users.named("ana")).id)
        await world.json("POST", "/conversations", None, headers={"X-User": "ana"})
        assert (await world.kit.users.named("ana")).display_name == "Ana"


async def test_a_host_user_that_must_exist_does_not_get_in_without() -> None:
    async with open_world(host_kit(create_users=False), populate=False) as world:
        await world.json("POST", "/conversations", None, status=401, headers={"X-User": "ana"})
        await world.kit.users.create("ana")
        await world.json("POST", "/conversations", None, headers={"X-User": "ana"})


async def test_deleting_a_user_takes_it_out_of_more_conversations_than_a_page_holds() -> None:
    async with open_world(populate=False) as world:
        kit = world.kit
        user = await kit.users.create("ana")
        rooms = [await kit.conversations.create(properties={"ttl": 60}) for _ in range(130)]
        for room in rooms:
            await kit.members.join(room.id, user_id=user.id)
        await kit.users.delete(user.id)
        assert (await kit.conversations.get(rooms[-1].id)).joined_members == 0


@pytest.mark.parametrize("wired", [False, True])
async def test_the_host_acts_before_any_request_with_or_without_a_lifespan(wired: bool, tmp_path: Path) -> None:
    kit = make_kit(f"sqlite:///{tmp_path}/chat.db")
    async with kit.lifespan() if wired else nullcontext():
        async with kit.lifespan():
            user = await kit.users.create("ana")
        assert await kit.users.get(user.id) == user
    assert await kit.users.get(user.id) == user
    await kit.close()


async def test_a_storage_that_does_not_open_is_tried_again_at_the_next_use() -> None:
    class Reluctant(MemoryStorage):
        tries = 0

        async def open(self) -> None:
            self.tries += 1
            if self.tries == 1:
                raise StorageUnavailable("not yet")

    storage = Reluctant()
    async with open_world_without_lifespan(make_kit(storage)) as world:
        answer = await world.json("GET", "/users", status=503)
        assert answer["code"] == "system:error:unavailable"
        assert await world.json("GET", "/users") == []
        assert storage.tries == 2


@asynccontextmanager
async def open_world_without_lifespan(kit: ConversationKit) -> AsyncIterator[World]:
    app = Starlette(routes=[Mount("/beta", app=kit)])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://host.test") as client:
        yield World(kit, client)


async def test_lifespans_that_come_and_go_do_not_close_what_others_use_without(tmp_path: Path) -> None:
    kit = make_kit(f"sqlite:///{tmp_path}/chat.db")
    room = await kit.conversations.create()
    try:
        async with anyio.create_task_group() as group:

            async def post() -> None:
                for _ in range(20):
                    await kit.events.create(room.id, "custom:x")

            for _ in range(4):
                group.start_soon(post)
            for _ in range(10):
                async with kit.lifespan():
                    await anyio.lowlevel.checkpoint()
        assert (await kit.conversations.get(room.id)).sequence_number == 80
    finally:
        await kit.close()


async def test_what_is_wrong_with_a_host_users_profile_does_not_keep_it_out(caplog: pytest.LogCaptureFixture) -> None:
    auth = HostAuthenticator(lambda scope: HostUser("ana", display_name="", image_url="/ana.png"), create_users=True)
    async with open_world(ConversationKit(storage="memory://", auth=auth), populate=False) as world:
        await world.json("POST", "/conversations", None)
        assert (await world.kit.users.named("ana")).display_name is None
        assert "image_url" in caplog.text


@pytest.mark.parametrize("types", ["poll", ["member:left"], ["event:delete"], [""], ["x" * 101], ["a\nb"]])
def test_a_host_cannot_register_types_that_are_the_kits(types: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="event_types"):
        make_kit(event_types=types)


async def test_events_of_a_registered_type_can_be_deleted() -> None:
    async with open_world(event_types=["shop:order"]) as world:
        made = await world.kit.events.create(world.conversation, "shop:order", {"total": 5})
        assert made.id is not None
        assert (await world.kit.events.delete(world.conversation, made.id)).is_deleted


def test_the_document_is_the_callers_to_change() -> None:
    kit = make_kit()
    kit.openapi()["components"]["schemas"].clear()
    kit.openapi()["paths"]["/users"]["get"]["responses"]["200"]["content"].clear()
    assert kit.openapi()["components"]["schemas"]
    assert kit.openapi()["paths"]["/users"]["get"]["responses"]["200"]["content"]


async def test_only_admins_sweep() -> None:
    async with open_world() as world:
        assert await world.kit.conversations.sweep() == 0
        with pytest.raises(Forbidden):
            await world.kit.as_user("ana").conversations.sweep()
