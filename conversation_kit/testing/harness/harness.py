"""Bench that the tests of the contract share: the way to a storage, things to put into it, and how to compare them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
import pytest

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import Conflict, NotFound, RequestError
from conversation_kit.domain.events import Event
from conversation_kit.domain.models import Conversation, Leg, LegStatus, Member, MemberState, Receipt, ReceiptKind, User
from conversation_kit.domain.reading import Access, EventRange, Page, Slice
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.domain.values.ids import new_id
from conversation_kit.ports import Storage
from conversation_kit.testing.clock import FakeClock
from conversation_kit.testing.harness.writes import create_conversation, create_user

T = TypeVar("T")
APP = "app-1"
OTHER = "app-2"
INVITED, JOINED, LEFT = MemberState.INVITED, MemberState.JOINED, MemberState.LEFT


class Contract:
    """Base of every part of the contract."""

    pytestmark = pytest.mark.anyio

    time_limit = 60.0
    """Seconds that one test may take, so that a deadlock is a failure."""

    def open_storage(self, folder: Path) -> AbstractAsyncContextManager[Storage]:
        """Yield a storage that keeps its data in ``folder``, or in a place of its own for each folder.

        The suite calls its ``open`` and ``close``. What the folder does not hold is yours to remove, but not here if its ``capabilities``
        say ``durable``: the same folder may be opened again, even twice at a time. The flags of ``capabilities`` are put to the test.
        """
        raise NotImplementedError("override open_storage")

    @asynccontextmanager
    async def bench(self, folder: Path) -> AsyncIterator[Bench]:
        """Open a storage, and give a bench around it."""
        with anyio.fail_after(self.time_limit):
            async with self.open_storage(folder) as storage:
                await storage.open()
                try:
                    yield Bench(storage)
                finally:
                    with anyio.CancelScope(shield=True):
                        await storage.close()


class Bench:
    """A storage and short ways to fill it and to look into it. Whatever it makes is one second younger than what it made before."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clock = FakeClock()

    def tick(self) -> datetime:
        """Let one second pass."""
        return self.clock.advance(1)

    async def user(self, name: str = "ana", application_id: str = APP, **values: Any) -> User:
        """Store a user, and return it."""
        user = User(application_id, **{"id": new_id("USR"), "name": name, "created": self.tick(), **values})
        await create_user(self.storage, user)
        return user

    async def conversation(self, name: str | None = None, application_id: str = APP, **values: Any) -> Conversation:
        """Store a conversation, and return it."""
        id = new_id("CON")
        conversation = Conversation(application_id, **{"id": id, "name": name or id, "created": self.tick(), **values})
        await create_conversation(self.storage, conversation)
        return conversation

    def make_member(self, conversation: Conversation, user: User, state: MemberState = JOINED, **values: Any) -> Member:
        """Return a member that is not stored yet."""
        now = self.tick()
        defaults = {"channel": {"type": "app"}, "created": now, state.value: now}
        return Member(
            **{
                "application_id": conversation.application_id,
                "conversation_id": conversation.id,
                "id": new_id("MEM"),
                "user_id": user.id,
                "user_name": user.name,
                "state": state,
                **defaults,
                **values,
            }
        )

    async def member(self, conversation: Conversation, user: User, state: MemberState = JOINED, **values: Any) -> Member:
        """Store a member, and return it; the conversation's counters know it."""
        member = self.make_member(conversation, user, state, **values)
        await self.save_member(member)
        return member

    async def save_member(self, member: Member) -> None:
        """Insert or replace a member."""
        await self.edit(member.conversation_id, lambda draft: draft.save_member(member), Needs(members=(member.id,)), member.application_id)

    def make_leg(self, **values: Any) -> Leg:
        """Return a leg that is not stored yet."""
        defaults = {"type": "app", "status": LegStatus.STARTED, "direction": "outbound", "session_id": new_id("SES")}
        return Leg(**{"application_id": APP, "id": new_id("LEG"), "created": self.tick(), **defaults, **values})

    async def leg(self, **values: Any) -> Leg:
        """Store a leg, and return it."""
        leg = self.make_leg(**values)
        await self.commit(leg.conversation_id, Changes(None, legs=[leg]), leg.application_id)
        return leg

    async def commit(self, conversation_id: str | None, changes: Changes[T], application_id: str = APP) -> Changes[T]:
        """Commit changes whatever the scene says."""
        return await self.storage.change(application_id, conversation_id, Needs(), lambda scene: changes)

    async def edit(
        self, conversation_id: str | None, work: Callable[[Draft], T], needs: Needs = Needs(), application_id: str = APP
    ) -> Changes[T]:
        """Commit what ``work`` does to a draft."""
        now = self.clock()

        def decide(scene: Scene) -> Changes[T]:
            draft = Draft(scene, now)
            return draft.done(work(draft))

        return await self.storage.change(application_id, conversation_id, needs, decide)

    async def say(self, conversation_id: str, *texts: str, sender: str | None = None) -> list[Event]:
        """Append one event for each text in one change."""

        def append(draft: Draft) -> list[Event]:
            return [draft.append("text", {"text": text}, sender=sender) for text in texts]

        return (await self.edit(conversation_id, append)).result

    async def receive(self, event: Event, member: Member, kind: ReceiptKind, receipt_id: int) -> Receipt:
        """Store a receipt, and return it."""
        assert event.id is not None
        receipt = Receipt(event.conversation_id, event.id, member.id, kind, self.tick(), receipt_id)
        await self.commit(event.conversation_id, Changes(None, receipts=[receipt]), event.application_id)
        return receipt

    async def destroy(self, conversation: Conversation) -> None:
        """Remove a conversation."""
        await self.edit(conversation.id, Draft.destroy, application_id=conversation.application_id)

    async def scene(self, conversation_id: str | None, needs: Needs = Needs(), application_id: str = APP) -> Scene:
        """Return the scene that a decision gets to see."""
        return (await self.storage.change(application_id, conversation_id, needs, look)).result

    def access(self, user: User | None = None, application_id: str = APP, **values: Any) -> Access:
        """Return the access with which ``user``, or an admin, sees things now."""
        return Access(application_id, **{"now": self.clock(), "user_name": user.name if user else None, **values})

    async def stored(self, conversation: Conversation) -> Conversation:
        """Return a conversation as it is now."""
        access = self.access(application_id=conversation.application_id)
        return (await self.storage.get_conversation(access, conversation.id, 0))[0]

    async def log(self, conversation_id: str, application_id: str = APP) -> list[Event]:
        """Return all events of a conversation."""
        page = await self.storage.list_events(self.access(application_id=application_id), conversation_id, EventRange(size=10_000))
        return page.events()


def needs(storage: Storage, capability: Literal["durable", "several_processes"]) -> None:
    """Skip the test if the storage says that it cannot do this."""
    if not getattr(storage.capabilities, capability):
        pytest.skip(f"its capabilities say that it is not {capability}")


def look(scene: Scene) -> Changes[Scene]:
    """Decide nothing and tell what was there."""
    return Changes(scene)


@contextmanager
def refused(error: type[RequestError], code: str) -> Iterator[None]:
    """Expect the block to raise an error of this class and code."""
    with pytest.raises(error) as caught:
        yield
    assert caught.value.code == code


def no_conversation() -> AbstractContextManager[None]:
    """Expect the block to say that there is no such conversation."""
    return refused(NotFound, "conversation:error:not-found")


def no_user() -> AbstractContextManager[None]:
    """Expect the block to say that there is no such user."""
    return refused(NotFound, "user:error:not-found")


def taken(noun: str) -> AbstractContextManager[None]:
    """Expect the block to say that the name is taken."""
    return refused(Conflict, f"{noun}:error:duplicate-name")


def assert_same(found: object, expected: object) -> None:
    """Check that both are equal as values that are stored: in each type, key and millisecond.

    Tuples and lists are alike.
    """
    assert plain(found) == plain(expected)


def plain(value: object) -> object:
    """Return a value in a form in which 1, 1.0 and True differ, as do an enum's member and its text."""
    if isinstance(value, datetime):
        assert value.utcoffset() == timedelta(0), f"{value!r} is not aware and in UTC"
        return value.isoformat()
    if isinstance(value, Event):
        receipts = sorted(value.receipts, key=lambda receipt: (receipt.member_id, receipt.kind))
        return [value.application_id, value.conversation_id, value.id, value.data, plain(receipts)]
    if is_dataclass(value) and not isinstance(value, type):
        return {type(value).__name__: {field.name: plain(getattr(value, field.name)) for field in fields(value)}}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, Enum | bool | int | float):
        return f"{type(value).__name__} {value!r}"
    return value


async def assert_pages(fetch: Callable[[Page], Awaitable[Slice[T]]], rows: Sequence[T]) -> None:
    """Check that ``fetch`` lists exactly ``rows``, which are at least 5, in this order, and pages through them in both directions."""
    total = len(rows)
    everything = await fetch(Page(size=total + 1))
    assert_same(everything.items, rows)
    assert everything.total == total
    for descending in (False, True):
        ordered = list(reversed(rows)) if descending else list(rows)
        for size, index in ((2, 0), (2, 2), (1, 1), (3, total - 1), (total, 0), (5, total), (5, total + 7)):
            found = await fetch(Page(size=size, index=index, descending=descending))
            assert_same(found.items, ordered[index : index + size])
            assert found.total == total, "the total is that before paging"


async def assert_ranges(fetch: Callable[[Page], Awaitable[Slice[T]]], rows: Sequence[T], created: Callable[[T], datetime]) -> None:
    """Check that ``fetch`` minds ``start`` and ``end``; ``rows`` are all there are, in order, at least 5 and each of another instant."""
    second, fourth = created(rows[1]), created(rows[3])
    late, early = timedelta(milliseconds=1), timedelta(milliseconds=-1)
    for page, expected in (
        (Page(start=second), rows[1:]),
        (Page(start=second + late), rows[2:]),
        (Page(end=fourth), rows[:3]),
        (Page(end=fourth + late), rows[:4]),
        (Page(start=second, end=fourth), rows[1:3]),
        (Page(start=second + early, end=fourth + early), rows[1:3]),
        (Page(start=second, end=second), rows[:0]),
        (Page(start=fourth, end=second), rows[:0]),
        (Page(start=second, end=fourth, descending=True), rows[1:3][::-1]),
    ):
        found = await fetch(page)
        assert_same(found.items, expected)
        assert found.total == len(expected)
    found = await fetch(Page(size=1, index=1, start=second))
    assert_same(found.items, rows[2:3])
    assert found.total == len(rows) - 1, "the total counts what start and end let through"
