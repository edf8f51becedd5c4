"""The demo's phones, without a page."""

from __future__ import annotations

import anyio
import pytest

from conversation_kit import ConversationKit, CreateEvent, HostAuthenticator, LegTerminated, Rejected
from conversation_kit.demo.phones import Phones

pytestmark = pytest.mark.anyio


@pytest.fixture
def kit() -> ConversationKit:
    return ConversationKit(storage="memory://", auth=HostAuthenticator(lambda scope: None))


async def room(kit: ConversationKit, *names: str) -> str:
    conversation = await kit.conversations.create()
    for name in names:
        await kit.users.create(name)
        await kit.members.join(conversation.id, user_name=name)
    return conversation.id


def ending(kit: ConversationKit, phones: Phones) -> anyio.Event:
    """Set when a leg has ended, of which the phones are told as by the demo."""
    ended = anyio.Event()

    @kit.on(LegTerminated)
    async def end(signal: LegTerminated) -> None:
        phones.forget(signal.leg.id)
        ended.set()

    return ended


async def test_a_phone_that_nobody_answers_stops_ringing(kit: ConversationKit) -> None:
    async with anyio.create_task_group() as group:
        phones = Phones(kit, group, ring_seconds=0.01)
        ended = ending(kit, phones)
        conversation = await room(kit, "ana", "bo")
        (leg,) = await phones.call("ana", conversation)
        with anyio.fail_after(30):
            await ended.wait()
        assert (await kit.legs.get(leg)).status == "unanswered"
        # And the line is free again.
        assert await phones.call("bo", conversation) != [leg]


async def test_an_answered_phone_rings_no_more(kit: ConversationKit, monkeypatch: pytest.MonkeyPatch) -> None:
    rung = anyio.Event()

    async def ring(seconds: float) -> None:
        await rung.wait()

    monkeypatch.setattr("conversation_kit.demo.phones.anyio.sleep", ring)
    async with anyio.create_task_group() as group:
        phones = Phones(kit, group)
        conversation = await room(kit, "ana", "bo")
        (leg,) = await phones.call("ana", conversation)
        await phones.move("bo", leg, "answered")
        rung.set()
    # The group has ended, so the bell has had its time.
    assert (await kit.legs.get(leg)).status == "answered"


async def test_a_call_that_a_hook_refuses_leaves_no_phone_ringing(kit: ConversationKit) -> None:
    @kit.before(CreateEvent)
    async def refuse(command: CreateEvent, context: object) -> None:
        if command.type == "custom:call":
            raise Rejected("shop:error:quiet", "Not at night.")

    async with anyio.create_task_group() as group:
        phones = Phones(kit, group)
        ended = ending(kit, phones)
        conversation = await room(kit, "ana", "bo")
        with pytest.raises(Rejected):
            await phones.call("ana", conversation)
        with anyio.fail_after(30):
            await ended.wait()
    (leg,) = (await kit.legs.list()).items
    assert leg.status == "failed"


async def test_two_who_call_at_once_are_one_call(kit: ConversationKit) -> None:
    codes: list[str] = []

    async with anyio.create_task_group() as group:
        phones = Phones(kit, group)
        ending(kit, phones)
        conversation = await room(kit, "ana", "bo")

        async def call(name: str) -> None:
            try:
                await phones.call(name, conversation)
            except Exception as error:
                codes.append(getattr(error, "code", repr(error)))

        async with anyio.create_task_group() as callers:
            callers.start_soon(call, "ana")
            callers.start_soon(call, "bo")
        group.cancel_scope.cancel()  # what still rings
    assert codes == ["demo:error:busy"]


async def test_what_rang_before_the_process_began_has_failed(kit: ConversationKit) -> None:
    conversation = await room(kit, "ana")
    leg = await kit.legs.start(conversation, "phone")
    async with anyio.create_task_group() as group:
        await Phones(kit, group).end_lost()
    assert (await kit.legs.get(leg.id)).status == "failed"
