from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from conversation_kit import (
    Command,
    ConfigurationError,
    Context,
    CreateEvent,
    DeleteLeg,
    EventCreated,
    HookFailed,
    InvalidInput,
    JoinMember,
    Rejected,
)
from conversation_kit.hooks.invoking import THREADS
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio

Call = Callable[[World, dict[str, Any]], Any]


async def over_http(world: World, body: dict[str, Any]) -> tuple[int, str]:
    response = await world.call("POST", f"{world.path}/events", "ana", json={"type": "text", "body": body})
    return response.status_code, response.json().get("code", "")


async def test_hooks_run_in_order_and_each_sees_what_the_one_before_left() -> None:
    async with open_world() as world:

        @world.kit.before(CreateEvent)
        def first(command: CreateEvent, context: Context) -> CreateEvent:
            assert context.application_id == "app-1"
            return replace(command, body={"text": command.body["text"] + "1"})

        @world.kit.before(CreateEvent)
        async def second(command: CreateEvent, context: Context) -> CreateEvent:
            assert context.principal.user_name == "ana"
            return replace(command, body={"text": command.body["text"] + "2"})

        @world.kit.before(Command)
        def third(command: Command, context: Context) -> None:
            return None

        assert await over_http(world, {"text": "x"}) == (201, "")
        made = await world.kit.as_user("ana").events.create(world.conversation, "text", {"text": "y"})
        assert made.body == {"text": "y12"}
        assert [event.body["text"] for event in (await world.kit.events.list(world.conversation))[-2:]] == ["x12", "y12"]


async def test_a_hook_refuses_with_its_own_code_over_http_and_in_process() -> None:
    async with open_world() as world:

        @world.kit.before(CreateEvent)
        async def no_swearing(command: CreateEvent, context: Context) -> None:
            if "damn" in command.body.get("text", ""):
                raise Rejected("shop:error:swearing", "Mind your language.")

        before = await world.types()
        assert await over_http(world, {"text": "damn"}) == (403, "shop:error:swearing")
        with pytest.raises(Rejected, match="Mind your language"):
            await world.kit.as_user("ana").events.create(world.conversation, "text", {"text": "damn"})
        assert await world.types() == before
        assert await over_http(world, {"text": "bother"}) == (201, "")


async def test_what_a_hook_changed_is_checked_again() -> None:
    async with open_world() as world:

        @world.kit.before(CreateEvent)
        def spoil(command: CreateEvent, context: Context) -> CreateEvent:
            return replace(command, body={"text": None})

        with pytest.raises(InvalidInput):
            await world.kit.as_user("ana").events.create(world.conversation, "text", {"text": "x"})


async def test_a_hook_can_change_who_joins_and_refuse_a_hang_up() -> None:
    async with open_world() as world:

        @world.kit.before(JoinMember)
        def silent(command: JoinMember, context: Context) -> JoinMember:
            return replace(command, media={"audio_settings": {"muted": True}})

        @world.kit.before(DeleteLeg)
        def never(command: DeleteLeg, context: Context) -> None:
            raise Rejected("leg:error:invalid-action", "Calls end by themselves here.")

        member = await world.kit.members.join(world.conversation, user_name="dee")
        assert member.media == {"audio_settings": {"muted": True}}
        leg = await world.kit.legs.start(world.conversation, "phone")
        assert (await world.json("DELETE", f"/legs/{leg.id}", status=403))["code"] == "leg:error:invalid-action"
        assert (await world.kit.legs.get(leg.id)).is_live


def crash(command: CreateEvent, context: Context) -> None:
    raise RuntimeError("boom")


async def crash_later(command: CreateEvent, context: Context) -> None:
    await anyio.lowlevel.checkpoint()
    raise RuntimeError("boom")


async def hang(command: CreateEvent, context: Context) -> None:
    await anyio.sleep_forever()


def answer_nonsense(command: CreateEvent, context: Context) -> Any:
    return "yes"


@pytest.mark.parametrize("hook", [crash, crash_later, hang, answer_nonsense])
async def test_a_failing_hook_refuses_the_command_unless_told_to_allow_it(hook: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:
        world.kit.before(CreateEvent, timeout=0.05, on_failure="allow")(hook)
        assert await over_http(world, {"text": "x"}) == (201, "")
        before = await world.types()
        world.kit.before(CreateEvent, timeout=0.05, on_failure="reject")(hook)
        assert await over_http(world, {"text": "x"}) == (503, "system:error:hook-failed")
        with pytest.raises(HookFailed):
            await world.kit.events.create(world.conversation, "custom:x")
        assert await world.types() == before
    assert hook.__name__ in caplog.text


async def test_a_sync_hook_that_hangs_is_left_behind_at_its_limit() -> None:
    async with open_world() as world:
        release = threading.Event()

        @world.kit.before(CreateEvent, timeout=0.05)
        def stuck(command: CreateEvent, context: Context) -> None:
            release.wait(60)

        try:
            with anyio.fail_after(30):
                assert await over_http(world, {"text": "x"}) == (503, "system:error:hook-failed")
        finally:
            release.set()


async def test_a_wrong_registration_is_refused_at_once() -> None:
    async with open_world(populate=False) as world:
        for what, options in ((str, {}), (CreateEvent, {"timeout": 0}), (CreateEvent, {"on_failure": "perhaps"})):
            with pytest.raises(ConfigurationError):
                world.kit.before(what, **options)(crash)  # type: ignore[arg-type]
        for what in (str, CreateEvent):
            with pytest.raises(ConfigurationError):
                world.kit.on(what)(print)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError):
            world.kit.on("text", timeout=0)(print)


async def test_no_error_of_a_hook_reaches_the_client(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    async with open_world() as world:

        @world.kit.before(CreateEvent)
        def leak(command: CreateEvent, context: Context) -> None:
            raise RuntimeError("the password is hunter2")

        response = await world.call("POST", f"{world.path}/events", "ana", json={"type": "text", "body": {"text": "x"}})
        assert "hunter2" not in response.text


async def test_what_a_hook_changes_in_place_is_what_is_stored() -> None:
    async with open_world() as world:

        @world.kit.before(CreateEvent)
        def censor(command: CreateEvent, context: Context) -> None:
            command.body["text"] = "***"  # type: ignore[index]

        made = await world.kit.as_user("ana").events.create(world.conversation, "text", {"text": "secret"})
        assert "secret" not in (await world.kit.events.list(world.conversation))[-1].data
        assert made.body == {"text": "***"}


async def test_receivers_that_hang_keep_no_hook_from_running() -> None:
    async with open_world() as world:
        release = threading.Event()

        @world.kit.on("text", timeout=0.01)
        def stuck(signal: EventCreated) -> None:
            release.wait(60)

        @world.kit.before(CreateEvent, on_failure="allow")
        def refuse(command: CreateEvent, context: Context) -> None:
            if command.type == "custom:x":
                raise Rejected("shop:error:no", "No.")

        try:
            for _ in range(THREADS + 5):
                await world.say()
            with pytest.raises(Rejected):
                await world.kit.events.create(world.conversation, "custom:x")
        finally:
            release.set()
