"""Idempotency keys: a request and its repeats are one."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from conversation_kit import AccessRequest, ConfigurationError, Context, CreateEvent, EventCreated, InvalidInput, RequestError
from conversation_kit.services import idempotency_keys
from conversation_kit.testing import FakeClock
from tests.integration.live.connections import Connection, socket
from tests.support.world import World, make_kit, open_world

pytestmark = pytest.mark.anyio
TEXT = {"type": "text", "body": {"text": "hello"}}
KEY = {"Idempotency-Key": "order-17"}


async def post(world: World, who: str = "ana", path: str | None = None, *, key: str = "order-17", **fields: Any) -> Any:
    return await world.call("POST", path or f"{world.path}/events", who, headers={"Idempotency-Key": key}, json={**TEXT, **fields})


async def test_a_repeat_gets_the_first_status_and_body_and_writes_nothing() -> None:
    async with open_world() as world:
        first, again = await post(world), await post(world, tid="another one")
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.content == again.content
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert (await world.types()).count("text") == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/conversations", {"name": "another"}),
        ("PUT", "{path}", {"display_name": "New"}),
        ("POST", "{path}/members", {"action": "join", "user_name": "dee"}),
        ("PUT", "{path}/members/{bo}", {"action": "join"}),
        ("DELETE", "{path}/members/{max}", None),
        ("DELETE", "{path}/events/1", None),
        ("DELETE", "{path}", None),
        ("POST", "/users", {"name": "eve"}),
        ("PUT", "/users/{dee}", {"display_name": "Dee"}),
        ("DELETE", "/users/{dee}", None),
    ],
)
async def test_every_operation_that_writes_can_be_repeated(method: str, path: str, body: Any) -> None:
    async with open_world() as world:
        ids = {"path": world.path, "bo": world.members["bo"], "max": world.members["max"], "dee": world.users["dee"]}
        signals: list[object] = []
        options = {"headers": KEY, **({"json": body} if body is not None else {})}
        first = await world.call(method, path.format(**ids), **options)
        assert first.status_code in (200, 201), first.text
        world.kit.on("*")(signals.append)
        again = await world.call(method, path.format(**ids), **options)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert signals == []


async def test_another_request_with_the_key_is_refused_and_one_elsewhere_has_the_key_to_itself() -> None:
    async with open_world() as world:
        await post(world)
        refused = await post(world, body={"text": "something else"})
        assert (refused.status_code, refused.json()["code"]) == (422, "http:error:idempotency-mismatch")
        another = (await world.kit.conversations.create("another")).id
        await world.kit.members.join(another, user_name="ana")
        for response in (await post(world, "max"), await post(world, "ana", f"/conversations/{another}/events")):
            assert response.status_code == 201
            assert "idempotent-replayed" not in response.headers
        assert (await world.types()).count("text") == 2


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256, "a\tb"])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    async with open_world() as world:
        response = await world.client.post(
            f"/beta{world.path}/events",
            headers=[(b"Authorization", f"Bearer {world.token('ana')}".encode()), (b"Idempotency-Key", key.encode("latin-1"))],
            json=TEXT,
        )
        assert (response.status_code, response.json()["code"]) == (400, "http:error:validation-fail")
        assert "Idempotency-Key" in response.json()["description"]
        assert "text" not in await world.types()


async def test_a_key_on_a_read_says_nothing() -> None:
    async with open_world() as world:
        response = await world.call("GET", world.path, "ana", headers={"Idempotency-Key": "not a key"})
        assert response.status_code == 200


async def test_what_was_refused_is_not_kept() -> None:
    async with open_world() as world:
        refused = await post(world, "dee")
        assert refused.status_code == 404
        await world.kit.members.join(world.conversation, user_name="dee")
        assert (await post(world, "dee")).status_code == 201


async def test_neither_hooks_nor_receivers_run_again() -> None:
    async with open_world() as world:
        hooked: list[str] = []
        told: list[object] = []

        @world.kit.before(CreateEvent)
        async def hook(command: CreateEvent, context: Context) -> None:
            hooked.append(command.type)

        world.kit.on(EventCreated)(told.append)
        for _ in range(3):
            await post(world)
        assert hooked == ["text"]
        assert len(told) == 1


async def test_of_many_at_once_one_writes_and_all_get_its_answer() -> None:
    async with open_world() as world:
        hooked: list[str] = []

        @world.kit.before(CreateEvent)
        async def hook(command: CreateEvent, context: Context) -> None:
            hooked.append(command.type)
            await anyio.lowlevel.checkpoint()

        responses: list[Any] = []

        async def send() -> None:
            responses.append(await post(world))

        async with anyio.create_task_group() as group:
            for _ in range(32):
                group.start_soon(send)
        assert {(response.status_code, response.content) for response in responses} == {(201, responses[0].content)}
        assert sum("idempotent-replayed" not in response.headers for response in responses) == 1
        assert hooked == ["text"]
        assert (await world.types()).count("text") == 1


async def test_who_waits_too_long_for_the_first_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency_keys, "WAIT_SECONDS", 0.01)
    async with open_world() as world, anyio.create_task_group() as group:
        begun, release = anyio.Event(), anyio.Event()

        @world.kit.before(CreateEvent, timeout=60)
        async def hook(command: CreateEvent, context: Context) -> None:
            begun.set()
            await release.wait()

        group.start_soon(post, world)
        with anyio.fail_after(30):
            await begun.wait()
            response = await post(world)
        assert (response.status_code, response.json()["code"]) == (409, "http:error:idempotency-in-flight")
        assert response.headers["retry-after"] == "1"
        release.set()


async def test_a_repeat_needs_the_caller_to_be_somebody() -> None:
    async with open_world() as world:
        assert (await post(world)).status_code == 201
        await world.kit.users.revoke_tokens(world.users["ana"], before=None)
        await world.kit.users.delete(world.users["ana"])
        assert (await post(world)).status_code == 401


async def test_a_deleted_text_does_not_live_on_in_what_is_kept() -> None:
    async with open_world() as world:
        said = await world.kit.once("k").events.create(world.conversation, "text", {"text": "secret"})
        assert said.id is not None
        again = await world.kit.once("k").events.create(world.conversation, "text", {"text": "secret"})
        assert (again, again.body) == (said, {"text": "secret"})
        await world.kit.events.delete(world.conversation, said.id)
        again = await world.kit.once("k").events.create(world.conversation, "text", {"text": "secret"})
        assert (again.id, again.is_deleted) == (said.id, True)


async def test_a_repeat_in_process_gets_equal_values_and_wrong_keys_an_error() -> None:
    async with open_world() as world:
        kit = world.kit
        leg = await kit.once("k").legs.start(world.conversation, "phone", member_id=world.members["ana"])
        assert await kit.once("k").legs.start(world.conversation, "phone", member_id=world.members["ana"]) == leg
        moved = await kit.once("m").legs.move(leg.id, world.conversation, member_id=world.members["max"])
        assert await kit.once("m").legs.move(leg.id, world.conversation, member_id=world.members["max"]) == moved
        user = await kit.once("k").users.create("eve", properties={"a": [1, None]})
        assert await kit.once("k").users.create(name="eve", properties={"a": [1, None]}) == user
        with pytest.raises(RequestError) as refused:
            await kit.once("k").users.create("adam")
        assert refused.value.code == "http:error:idempotency-mismatch"
        endless: dict[str, Any] = {}
        endless["again"] = endless
        mixed: Any = {1: "a", "b": 2}
        for body in (endless, mixed):
            with pytest.raises(InvalidInput):
                await kit.once("j").events.create(world.conversation, "custom:x", body)
        for wrong in ("", "a b", None, 7):
            with pytest.raises(RequestError):
                kit.once(wrong)  # type: ignore[arg-type]


async def test_a_repeat_gives_back_nothing_where_the_first_did() -> None:
    async with open_world() as world:
        leg = await world.kit.legs.start(world.conversation, "phone")
        for _ in range(2):
            once: Any = world.kit.once("k")
            assert (await once.legs.delete(leg.id), await once.users.delete(world.users["max"])) == (None, None)


async def test_a_repeat_of_what_had_nothing_to_do_does_nothing_later() -> None:
    async with open_world() as world:
        kit, ana, bo = world.kit, world.users["ana"], world.users["bo"]
        for _ in range(2):
            assert not await kit.once("k").members.unban(world.conversation, user_id=bo)
            assert not await kit.once("k").users.unblock(ana, bo)
            await kit.members.ban(world.conversation, user_id=bo)
            await kit.users.block(ana, bo)
        assert [one.user_id for one in (await kit.members.exclusions(world.conversation)).items] == [bo]
        assert [one.blocked_id for one in (await kit.users.blocks(ana)).items] == [bo]


async def test_a_repeat_of_an_event_comes_without_what_was_said_of_it_since() -> None:
    async with open_world() as world:
        said = await world.kit.once("k").events.create(world.conversation, "text", {"text": "hello"}, sender=world.members["ana"])
        await world.kit.as_user("max").events.create(world.conversation, "text:seen", {"event_id": said.id})
        assert await world.kit.once("k").events.create(world.conversation, "text", {"text": "hello"}, sender=world.members["ana"]) == said


async def test_a_new_user_of_the_same_name_gets_no_answer_of_the_old_one() -> None:
    clock = FakeClock()
    async with open_world(clock=clock) as world:
        await world.kit.as_user("ana").once("k").conversations.create("secret plan")
        await world.kit.users.delete(world.users["ana"])
        clock.advance(3600)
        await world.kit.users.create("ana")
        with pytest.raises(RequestError) as refused:
            await world.kit.as_user("ana").once("k").conversations.create("secret plan")
        assert refused.value.code == "http:error:idempotency-mismatch"


async def test_answers_are_kept_as_long_as_the_host_says() -> None:
    clock = FakeClock()
    async with open_world(make_kit(idempotency_hours=2, clock=clock), populate=False) as world:
        room = (await world.kit.conversations.create("room")).id
        headers = {"Idempotency-Key": "order-17"}

        async def is_replayed() -> bool:
            response = await world.call("POST", f"/conversations/{room}/events", headers=headers, json=TEXT)
            assert response.status_code == 201
            return "idempotent-replayed" in response.headers

        assert not await is_replayed()
        clock.advance(7199)
        assert await is_replayed()
        clock.advance(1)
        assert not await is_replayed()
        assert await is_replayed()


@pytest.mark.parametrize("hours", [0, -1, float("nan"), float("inf"), 9000, "24", True, None])
async def test_wrong_hours_are_refused_at_once(hours: Any) -> None:
    with pytest.raises(ConfigurationError, match="idempotency_hours="):
        make_kit(idempotency_hours=hours)


async def test_who_is_asked_for_access_is_not_asked_for_a_repeat() -> None:
    asked: list[str] = []

    def authorize(request: AccessRequest) -> None:
        asked.append(request.action)

    async with open_world(authorize=authorize) as world:
        await post(world)
        before = len(asked)
        await post(world)
        assert len(asked) == before


async def answer_to(connection: Connection, frame: Any) -> Any:
    before = sum("rid" in one for one in connection.frames)
    await connection.say(frame)
    await connection.until(lambda: sum("rid" in one for one in connection.frames) > before)
    return [one for one in connection.frames if "rid" in one][before]


async def test_a_frame_and_a_post_with_one_key_are_repeats_of_each_other() -> None:
    async with open_world() as world, socket(world, "ana") as ana:
        frame = {**TEXT, "tid": 1, "idempotency_key": "order-17"}
        first, again = await answer_to(ana, frame), await answer_to(ana, {**frame, "tid": 2})
        assert again == {**first, "rid": 2, "replayed": True}
        posted = await post(world)
        assert (posted.json()["id"], posted.headers["idempotent-replayed"]) == (first["id"], "true")
        refused = await answer_to(ana, {**frame, "tid": 3, "idempotency_key": "a b"})
        assert refused["code"] == "http:error:validation-fail"
        assert (await world.types()).count("text") == 1
