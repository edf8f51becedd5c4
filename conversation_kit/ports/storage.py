"""The storage port: keeping the data, and what a storage may have besides."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.models import Block, Conversation, Exclusion, Leg, Member, MemberState, User
from conversation_kit.domain.reading import Access, EventRange, Page, Slice
from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit.domain.values.answers import Answer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Abilities of a storage beyond the methods of ``Storage``.

    ``durable``: another storage on the same data finds what this one has committed, after a crash too. ``several_processes``: several
    may use the same data at a time, each sees what the others commit. ``transactions``: it is a ``TransactionalStorage``, so that
    ``kit.using`` and ``kit.within`` work.
    """

    durable: bool = True
    several_processes: bool = True
    transactions: bool = False


@runtime_checkable
class Storage(Protocol):
    """Storage of conversations, users, members, events and legs.

    Every method is atomic: it happens wholly or not at all, and what it returned survives a crash if the storage
    is durable at all. Methods are called concurrently, on asyncio or trio, and must not block the event loop.
    ``application_id`` separates tenants: nothing of one application is ever found through another.
    A page of a list has at least one row where the list goes on, whatever its ``max_bytes``.
    Values come back as they went in, to the millisecond and the JSON key. A storage that cannot answer at present raises
    ``StorageUnavailable`` and has then written nothing. One that does not know whether a write has happened raises ``OutcomeUnknown``, and
    never repeats the write by itself.
    """

    @property
    def capabilities(self) -> Capabilities:
        """Capabilities beyond the methods; known before it is opened."""
        ...

    async def open(self) -> None:
        """Make ready (connect, create or check the schema). Called before the first use and after ``close``; idempotent."""

    async def close(self) -> None:
        """Release what ``open`` took. Data stays.

        A call that is under way comes to its end, or raises ``StorageUnavailable`` or ``ConfigurationError`` and has written nothing.
        """

    def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[T]) -> Coroutine[Any, Any, Changes[T]]:
        """Load the scene, let ``decide`` decide, commit its changes and return them. Every write but ``spend`` is one of these.

        From the loading to the commit no other change of the same conversation comes between, so that event ids come out gapless and in
        commit order, and a state is never left from what it no longer is; nor does another change of the user that ``needs.changes_user``
        locks. What ``decide`` raises is passed on and nothing is written. A missing conversation gives a scene without one. With
        ``conversation_id`` ``None`` only users and legs are in play, and the conversation of the leg ``needs.conversation_of``. The name of
        a new conversation or user, or a new name of either, that is taken in the application raises ``duplicate_name``, and an answer's
        mark ``key_in_use``. Readers see all of the changes or none.
        """
        ...

    async def get_conversation(
        self, access: Access, conversation_id: str, members: int, max_bytes: int | None = None
    ) -> tuple[Conversation, list[Member]]:
        """Return the conversation and at most ``members`` members: invited and joined ones first, then those that left, each oldest first.

        With ``max_bytes`` no more of them than are about so many bytes of JSON together, as ``row_bytes`` counts them.
        Raises what ``check_access`` raises.
        """
        ...

    async def list_conversations(self, application_id: str, page: Page, now: datetime) -> Slice[Conversation]:
        """Return the conversations that have not expired by ``now``, by creation (then id)."""
        ...

    async def expired_conversations(
        self, application_id: str, now: datetime, limit: int, *, name: str | None = None, user_id: str | None = None
    ) -> list[str]:
        """Return the ids of at most ``limit`` conversations whose ``expires_at`` is not after ``now``.

        With ``name`` only the one of that name, with ``user_id`` only those with an invited or joined member of that user. It is asked for
        these while somebody waits: it takes no longer for what else has expired.
        """
        ...

    async def sequence_numbers(self, application_id: str, conversation_ids: Sequence[str], now: datetime) -> Mapping[str, int]:
        """Return the ``sequence_number`` of each of these conversations that exists and has not expired by ``now``.

        Asked for many at a time, again and again, to learn where there is something new: no more is read than it takes.
        """
        ...

    async def get_user(self, application_id: str, *, id: str | None = None, name: str | None = None) -> User:
        """Return the user with this id or this name. Raises ``user_not_found``."""
        ...

    async def list_users(self, application_id: str, page: Page) -> Slice[User]:
        """Return users by creation (then id)."""
        ...

    async def list_memberships(self, application_id: str, user_id: str, page: Page, now: datetime) -> Slice[tuple[Conversation, Member]]:
        """Return the user's invited and joined memberships with their conversations, by creation of the conversation."""
        ...

    async def newest_memberships(
        self, application_id: str, user_id: str, limit: int, now: datetime, conversation_ids: Sequence[str] | None = None
    ) -> Slice[tuple[Conversation, Member]]:
        """Return at most ``limit`` of the user's invited and joined memberships with their conversations, and how many there are.

        Joined ones come before invited ones, and of each those whose conversation was made last come first. Only those in
        ``conversation_ids`` if that is given.
        """
        ...

    async def list_members(
        self, access: Access, conversation_id: str, page: Page, states: frozenset[MemberState] | None = None
    ) -> Slice[Member]:
        """Return all members, those that left too, oldest first; with ``states`` only those in one of them.

        Raises what ``check_access`` raises.
        """
        ...

    async def get_member(self, access: Access, conversation_id: str, member_id: str) -> Member:
        """Return the member. Raises ``member_not_found`` or what ``check_access`` raises."""
        ...

    async def list_exclusions(self, access: Access, conversation_id: str, page: Page) -> Slice[Exclusion]:
        """Return exclusions by creation (then user id). Raises what ``check_access`` raises."""
        ...

    async def list_blocks(self, application_id: str, user_id: str, page: Page) -> Slice[Block]:
        """Return a user's blocks by creation (then the blocked user's id)."""
        ...

    async def list_events(self, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
        """Return events by id, with their receipts, as one consistent view. Raises what ``check_access`` raises."""
        ...

    async def get_event(self, access: Access, conversation_id: str, event_id: int) -> Event:
        """Return the event with its receipts. Raises ``event_not_found`` or what ``check_access`` raises."""
        ...

    async def get_answer(self, application_id: str, mark: str, now: datetime) -> Answer | None:
        """Return the answer that was kept under this mark with some change, unless it has expired by ``now``."""
        ...

    async def spend(self, application_id: str, mark: str, until: datetime, now: datetime) -> bool:
        """Return whether this is the first time that ``mark``, of at most 64 characters, is spent; remembered until ``until``.

        Of several at once, in several processes too, one is the first. What had to be remembered until ``now`` may be forgotten.
        """
        ...

    async def list_legs(self, application_id: str, page: Page) -> Slice[Leg]:
        """Return legs by creation (then id)."""
        ...

    async def get_leg(self, application_id: str, leg_id: str) -> Leg:
        """Return the leg. Raises ``leg_not_found``."""
        ...


@runtime_checkable
class Observable(Protocol):
    """Storage that also tells how busy it is in this process."""

    def stats(self) -> Mapping[str, int]:
        """Return numbers of this moment by name, such as ``writes`` that wait. Called at any time and from any thread; never waits."""
        ...


@dataclass(frozen=True, slots=True)
class Migration:
    """From which version of its schema to which one a storage was brought; ``before`` is ``None`` if there was nothing yet."""

    before: str | None
    after: str


@runtime_checkable
class Migrates(Protocol):
    """Storage that also has a schema, which changes from one release to the next."""

    async def migrate(self) -> Migration:
        """Bring the schema to the newest version, keeping all data, or make it; called whether the storage is open or not.

        Several processes may do it at once. Raises ``ConfigurationError`` when the schema is newer than what this release knows, and
        ``StorageUnavailable``.
        """
        ...


@runtime_checkable
class Restorable(Protocol):
    """Storage whose data can be put back to an earlier state, as from a backup, and which has an epoch that tells."""

    async def epoch(self) -> str:
        """Return the mark of this log: ``FIRST_EPOCH``, or the last result of ``renew_epoch`` in any process. Asked for now and again."""
        ...

    async def renew_epoch(self) -> str:
        """Say that the data were put back, and return the epoch from now on, another one than ever before. Survives a crash."""
        ...
