"""Mistakes of registration are errors at the line where they are made, and not silence or a 503 at each request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from conversation_kit import (
    ConfigurationError,
    ConversationKit,
    CreateEvent,
    EventCreated,
    EventRange,
    HostAuthenticator,
    InvalidInput,
    MemberJoined,
    Page,
)
from conversation_kit.domain.event_types import EPHEMERAL, MADE, STORED
from conversation_kit.domain.values import times
from tests.support.world import make_kit, open_world

pytestmark = pytest.mark.anyio


def plain(*arguments: Any) -> None: ...
def nothing() -> None: ...
def one(signal: Any) -> None: ...
def two(command: Any, context: Any) -> None: ...
def three(first: Any, second: Any, third: Any) -> None: ...
def named(*, signal: Any) -> None: ...
def generator(*arguments: Any) -> Iterator[None]:
    yield


async def async_generator(*arguments: Any) -> AsyncIterator[None]:
    yield


class Callable1:
    def __call__(self, signal: Any) -> None: ...


@pytest.fixture
def kit() -> ConversationKit:
    return make_kit("sqlite://", event_types=["shop:order"])


@pytest.mark.parametrize("decorator", ["on", "before", "within"])
def test_a_decorator_without_parentheses_is_refused(kit: ConversationKit, decorator: str) -> None:
    with pytest.raises(ConfigurationError, match="parentheses"):
        getattr(kit, decorator)(plain)


def test_a_command_is_not_a_signal_and_the_other_way_round(kit: ConversationKit) -> None:
    wrong: Any = CreateEvent
    with pytest.raises(ConfigurationError, match=r"@kit\.before"):
        kit.on(wrong)
    wrong = EventCreated
    with pytest.raises(ConfigurationError, match=r"@kit\.on"):
        kit.before(wrong)


@pytest.mark.parametrize(
    "pattern", ["txet", "Text", "text ", "", "member:", "member", "membr:*", "custom", "custom:", "custom:two words", "text:*ing", "order"]
)
def test_a_pattern_that_no_event_can_match_is_refused(kit: ConversationKit, pattern: str) -> None:
    for decorator in (kit.on, kit.within):
        with pytest.raises(ConfigurationError, match="would never be called"):
            decorator(pattern)


def test_a_pattern_with_a_slip_is_told_what_was_meant(kit: ConversationKit) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'text'"):
        kit.on("txet")


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "text",
        "text*",
        "text:*",
        "*:seen",
        "custom:*",
        "custom:rating",
        "custom:rating-*",
        "c*:rating",
        "*rating",
        "*:rating",
        "shop:*",
        "shop:order",
    ]
    + sorted(STORED | EPHEMERAL | MADE),
)
def test_a_pattern_that_some_event_matches_is_taken(kit: ConversationKit, pattern: str) -> None:
    kit.on(pattern)(plain)


@pytest.mark.parametrize("function", [nothing, two, named, generator, async_generator, 5, lambda: None])
def test_a_receiver_that_cannot_be_called_with_a_signal_is_refused(kit: ConversationKit, function: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"on\(\)"):
        kit.on(MemberJoined)(function)


@pytest.mark.parametrize("function", [nothing, one, three, named, generator, async_generator, None])
def test_a_hook_that_cannot_be_called_with_two_arguments_is_refused(kit: ConversationKit, function: Any) -> None:
    for register in (kit.before(CreateEvent), kit.within(MemberJoined)):
        with pytest.raises(ConfigurationError, match="takes"):
            register(function)


def test_an_error_of_registration_names_the_function_and_what_it_is_called_with(kit: ConversationKit) -> None:
    function: Any = one
    with pytest.raises(
        ConfigurationError, match=r"one \(.*test_registration.py:\d+\) is called with 2 arguments, the command and the context"
    ):
        kit.before(CreateEvent)(function)


def test_functions_that_can_be_called_are_taken(kit: ConversationKit) -> None:
    receivers: list[Callable[..., Any]] = [plain, one, print, Callable1(), [].append, lambda signal, more=None: None]
    for receiver in receivers:
        kit.on(MemberJoined)(receiver)
    for hook in (two, plain):
        taken: Any = hook
        kit.before(CreateEvent)(taken)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", True])
def test_a_time_limit_is_a_number_of_seconds(kit: ConversationKit, seconds: Any) -> None:
    for register in (lambda: kit.on("text", timeout=seconds), lambda: kit.before(CreateEvent, timeout=seconds)):
        with pytest.raises(ConfigurationError, match="timeout"):
            register()


def test_authorize_identify_and_max_members_are_checked_when_they_are_given() -> None:
    for wrong in (nothing, two, 5):
        authorize: Any = wrong
        with pytest.raises(ConfigurationError, match="authorize"):
            make_kit(authorize=authorize)
        with pytest.raises(ConfigurationError, match="HostAuthenticator"):
            HostAuthenticator(authorize)
    for members in (0, -1, "10", True, None):
        with pytest.raises(ConfigurationError, match="max_members"):
            make_kit(max_members=members)


@pytest.mark.parametrize("wanted", [Page, EventRange])
def test_a_page_that_can_hold_nothing_is_refused(wanted: Any) -> None:
    for wrong in ({"size": 0}, {"size": -1}, {"size": "10"}, {"size": True}, {"size": None}, {"index": -1}, {"index": 1.5}):
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            wanted(**wrong)


def test_the_ends_of_a_page_are_times_with_a_zone_and_those_of_a_range_are_ids() -> None:
    for start in ("2026-01-01", 5, times.now().replace(tzinfo=None)):
        with pytest.raises(InvalidInput, match="time zone"):
            Page(start=start)  # type: ignore[arg-type]
    for id in ("5", True, 1.0):
        with pytest.raises(InvalidInput, match="start_id"):
            EventRange(start_id=id)  # type: ignore[arg-type]


async def test_an_object_where_an_id_belongs_is_refused_with_a_hint() -> None:
    async with open_world() as world:
        kit: Any = world.kit
        room = await kit.conversations.get(world.conversation)
        user = await kit.users.get(world.users["ana"])
        member = await kit.members.get(room.id, world.members["ana"])
        event = await kit.events.create(room.id, "custom:x")
        calls: dict[str, Callable[[], Any]] = {
            "conversation_id": lambda: kit.events.create(room, "custom:x"),
            "conversation_id of a list": lambda: kit.events.list(room),
            "conversation_id of members": lambda: kit.members.join(room, user_name="dee"),
            "conversation_id of delete": lambda: kit.conversations.delete(room),
            "conversation_id of update": lambda: kit.conversations.update(room, name="x"),
            "conversation_id of start": lambda: kit.legs.start(room, "phone"),
            "member_id": lambda: kit.members.get(room.id, member),
            "member_id of a sender": lambda: kit.events.create(room.id, "custom:x", sender=member),
            "member_id to whom": lambda: kit.events.create(room.id, "custom:x", to=member),
            "member_id of remove": lambda: kit.members.remove(room.id, member),
            "member_id of accept": lambda: kit.members.join(room.id, member_id=member),
            "user_id": lambda: kit.users.get(user),
            "user_id of invite": lambda: kit.members.invite(room.id, user_id=user),
            "user_id of conversations": lambda: kit.users.conversations(user),
            "user_id of delete": lambda: kit.users.delete(user),
            "event_id": lambda: kit.events.get(room.id, event),
            "event_id of delete": lambda: kit.events.delete(room.id, event),
        }
        for field, call in calls.items():
            with pytest.raises(InvalidInput, match=f"{field.split()[0]} must be .*: give its id"):
                await call()
        with pytest.raises(InvalidInput, match="user_name must be a string, not User: give its name"):
            kit.as_user(user)
        with pytest.raises(InvalidInput, match="conversation_id"):
            kit.subscribe(room)
        with pytest.raises(InvalidInput, match="user_id"):
            kit.feed(user)
        with pytest.raises(InvalidInput, match="event_id must be a whole number"):
            await kit.events.get(room.id, "3")
        with pytest.raises(InvalidInput, match="name must be a string"):
            await kit.users.create(5)
