"""What a function of the host raises ends the request at most, and never the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from conversation_kit import ConversationKit, CreateEvent, EventCreated, HookFailed, HostAuthenticator, UserCreated
from tests.support.world import open_world

pytestmark = pytest.mark.anyio

DEADLY = [
    SystemExit(1),
    KeyboardInterrupt(),
    GeneratorExit(),
    BaseExceptionGroup("several", [SystemExit(1), ValueError()]),
    type("Odd", (BaseException,), {})(),
]
deadly = pytest.mark.parametrize("error", DEADLY, ids=lambda error: type(error).__name__)


def functions(error: BaseException) -> list[Callable[..., Any]]:
    """Such as raise ``error``: a sync one, an async one at once, and one after a while."""

    def sync(*arguments: Any) -> None:
        raise error

    async def at_once(*arguments: Any) -> None:
        raise error

    async def later(*arguments: Any) -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    return [sync, at_once, later]


@deadly
async def test_a_receiver_ends_nothing(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:
        seen: list[EventCreated] = []
        for function in functions(error):
            world.kit.on("text")(function)
        world.kit.on("text")(seen.append)
        await world.say()
        assert len(seen) == 1
    assert caplog.text.count(" raised\n") == 3
    assert type(error).__name__ in caplog.text


@deadly
async def test_a_before_hook_ends_its_request_only(error: BaseException) -> None:
    for function in functions(error):
        async with open_world() as world:
            world.kit.before(CreateEvent)(function)
            body = {"type": "text", "body": {"text": "x"}}
            refused = await world.json("POST", f"{world.path}/events", "ana", status=503, json=body)
            assert refused["code"] == "system:error:hook-failed"
            with pytest.raises(HookFailed):
                await world.kit.events.create(world.conversation, "custom:x")


@deadly
async def test_authorize_ends_its_request_only(error: BaseException) -> None:
    for function in functions(error):
        async with open_world(authorize=function, populate=False) as world:
            assert (await world.json("GET", "/users", status=503))["code"] == "system:error:hook-failed"


@deadly
async def test_identify_ends_its_request_only(error: BaseException) -> None:
    for function in functions(error):
        kit = ConversationKit(storage="memory://", auth=HostAuthenticator(function))
        async with open_world(kit, populate=False) as world:
            assert (await world.json("GET", "/users", status=500))["code"] == "http:error:internal"


@deadly
async def test_a_within_hook_undoes_its_command_only(error: BaseException) -> None:
    async with open_world(storage="sqlite://", populate=False) as world:
        kit = world.kit

        @kit.within(UserCreated)
        def leave(signal: UserCreated, session: Any) -> None:
            if signal.user.name == "bo":
                raise error

        await kit.users.create("ana")
        assert (await world.json("POST", "/users", status=503, json={"name": "bo"}))["code"] == "system:error:hook-failed"
        await kit.users.create("cy")
        assert [user.name for user in (await kit.users.list()).items] == ["ana", "cy"]


async def test_a_receiver_that_fails_while_it_is_cut_is_still_cut(caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:

        @world.kit.on("text", timeout=0.05)
        async def untidy(signal: EventCreated) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise SystemExit(1)

        with anyio.fail_after(30):
            await world.say()
    assert "untidy" in caplog.text
