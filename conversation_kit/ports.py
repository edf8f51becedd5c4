"""What the kit needs from outside: a storage that commits, an authenticator that knows who calls, and maybe a broker between processes.

All are protocols: any object with these methods will do. ``StorageContract`` and ``BrokerContract`` in ``conversation_kit.testing``
check the promises that the docstrings make.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from conversation_kit.domain.events import Event, EventPage
from conversation_kit.domain.models import Conversation, Leg, Member, User
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.reading import Access, EventRange, Page, Slice
from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit.domain.signals import Signal

T = TypeVar("T")
R = TypeVar("R", contravariant=True)
ASGIScope: TypeAlias = MutableMapping[str, Any]
Publish: TypeAlias = Callable[[Sequence[Signal]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a storage can do beyond the methods of ``Storage``.

    ``durable``: another storage on the same data finds what this one has committed, after a crash too. ``several_processes``: several
    may use the same data at a time, each sees what the others commit. ``transactions``: it is a ``TransactionalStorage``, so that
    ``kit.using`` and ``kit.within`` work.
    """

    durable: bool = True
    several_processes: bool = True
    transactions: bool = False


class Within(Protocol[R]):
    """Tells what else has to happen in the transaction of a write."""

    def __call__(self, result: R, /) -> Callable[[Any], None] | None:
        """Given what the write is about to return: a function of the live session, or ``None`` for nothing. Pure, and cheap."""
        ...


@runtime_checkable
class Storage(Protocol):
    """Keeps conversations, users, members, events and legs.

    Every method is atomic: it happens wholly or not at all, and what it returned survives a crash if the storage
    is durable at all. Methods are called concurrently, on asyncio or trio, and must not block the event loop.
    ``application_id`` separates tenants: nothing of one application is ever found through another.
    Values come back as they went in, to the millisecond and the JSON key. A storage that cannot answer at present raises
    ``StorageUnavailable`` and has then written nothing.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What else it can do; known before it is opened."""
        ...

    async def open(self) -> None:
        """Make ready (connect, create or check the schema). Called before the first use and after ``close``; idempotent."""

    async def close(self) -> None:
        """Release what ``open`` took. Data stays.

        A call that is under way comes to its end, or raises ``StorageUnavailable`` or ``ConfigurationError`` and has written nothing.
        """

    async def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[T]) -> Changes[T]:
        """Load the scene, let ``decide`` decide, commit its changes and return them.

        From the loading to the commit no other change of the same conversation comes between, so that event ids
        come out gapless and in commit order, and a state is never left from what it no longer is. What ``decide``
        raises is passed on and nothing is written. A missing conversation gives a scene without one. With
        ``conversation_id`` ``None`` only users and legs are in play. A conversation's new name that is taken in the
        application raises ``duplicate_name``. Readers see all of the changes or none.
        """
        ...

    async def create_conversation(self, conversation: Conversation) -> None:
        """Insert it. Raises ``duplicate_name`` if the application has a conversation of that name."""

    async def get_conversation(self, access: Access, conversation_id: str, members: int) -> tuple[Conversation, list[Member]]:
        """It and at most ``members`` of its members: invited and joined ones first, then those that left, each oldest first.

        Raises what ``check_access`` raises.
        """
        ...

    async def list_conversations(self, application_id: str, page: Page, now: datetime) -> Slice[Conversation]:
        """Those that have not expired by ``now``, by creation (then id)."""
        ...

    async def expired_conversations(self, application_id: str, now: datetime, limit: int) -> list[str]:
        """The ids of at most ``limit`` conversations whose ``expires_at`` is not after ``now``."""
        ...

    async def sequence_numbers(self, application_id: str, conversation_ids: Sequence[str], now: datetime) -> Mapping[str, int]:
        """The ``sequence_number`` of each of these conversations that exists and has not expired by ``now``.

        Asked for many at a time, again and again, to learn where there is something new: no more is read than it takes.
        """
        ...

    async def create_user(self, user: User) -> None:
        """Insert it. Raises ``duplicate_name`` if the application has a user of that name."""

    async def get_user(self, application_id: str, *, id: str | None = None, name: str | None = None) -> User:
        """The user with this id or this name. Raises ``user_not_found``."""
        ...

    async def list_users(self, application_id: str, page: Page) -> Slice[User]:
        """By creation (then id)."""
        ...

    async def update_user(self, application_id: str, user_id: str, update: Callable[[User], User]) -> User:
        """Replace a user by ``update`` of it; a new name is also the ``user_name`` of all its memberships.

        Raises ``user_not_found`` or ``duplicate_name``.
        """
        ...

    async def delete_user(self, application_id: str, user_id: str) -> bool:
        """Remove a user without invited or joined memberships; ``False``, and nothing done, if it has such.

        Members that left stay as they are. Raises ``user_not_found``.
        """
        ...

    async def list_memberships(self, application_id: str, user_id: str, page: Page, now: datetime) -> Slice[tuple[Conversation, Member]]:
        """The user's invited and joined memberships with their conversations, by creation of the conversation."""
        ...

    async def list_members(self, access: Access, conversation_id: str, page: Page) -> Slice[Member]:
        """All members, those that left too, oldest first. Raises what ``check_access`` raises."""
        ...

    async def get_member(self, access: Access, conversation_id: str, member_id: str) -> Member:
        """Raises ``member_not_found`` or what ``check_access`` raises."""
        ...

    async def list_events(self, access: Access, conversation_id: str, wanted: EventRange) -> EventPage:
        """Events by id, with their receipts, as one consistent view. Raises what ``check_access`` raises."""
        ...

    async def get_event(self, access: Access, conversation_id: str, event_id: int) -> Event:
        """With its receipts. Raises ``event_not_found`` or what ``check_access`` raises."""
        ...

    async def list_legs(self, application_id: str, page: Page) -> Slice[Leg]:
        """By creation (then id)."""
        ...

    async def get_leg(self, application_id: str, leg_id: str) -> Leg:
        """Raises ``leg_not_found``."""
        ...


@dataclass(frozen=True, slots=True)
class Migration:
    """From which version of its schema to which one a storage was brought; ``before`` is ``None`` if there was nothing yet."""

    before: str | None
    after: str


@runtime_checkable
class Migrates(Protocol):
    """What a storage may have besides: a schema that changes from one release to the next."""

    async def migrate(self) -> Migration:
        """Bring the schema to the newest version, keeping all data, or make it; called whether the storage is open or not.

        Several processes may do it at once. Raises ``ConfigurationError`` when the schema is newer than what this release knows, and
        ``StorageUnavailable``.
        """
        ...


class TransactionalStorage(Storage, Protocol):
    """A storage on a database in whose transactions the host's code can have a part; its ``capabilities.transactions`` is true.

    Its writes take ``within``. What that returns for the result of the write is called with the live session after everything is written
    and before the commit, in a thread or greenlet that may block. What it raises is passed on, and nothing of this write has happened then;
    writes of others are not concerned. When the database makes the storage try again, it is called again. A session has
    at least ``flush``.
    """

    async def change(
        self,
        application_id: str,
        conversation_id: str | None,
        needs: Needs,
        decide: Decide[T],
        *,
        within: Within[Changes[T]] | None = None,
    ) -> Changes[T]:
        """See ``Storage.change``."""
        ...

    async def create_conversation(self, conversation: Conversation, *, within: Within[None] | None = None) -> None:
        """See ``Storage.create_conversation``."""

    async def create_user(self, user: User, *, within: Within[None] | None = None) -> None:
        """See ``Storage.create_user``."""

    async def update_user(
        self, application_id: str, user_id: str, update: Callable[[User], User], *, within: Within[User] | None = None
    ) -> User:
        """See ``Storage.update_user``."""
        ...

    async def delete_user(self, application_id: str, user_id: str, *, within: Within[bool] | None = None) -> bool:
        """See ``Storage.delete_user``."""
        ...

    def joined(self, session: Any, publish: Publish) -> AbstractAsyncContextManager[Joined]:
        """The host's own transaction, which ``session`` is in or will begin, as a storage for the length of the block.

        Signals that it is told of go to ``publish`` once the host has committed, at latest before the block ends if that is already so,
        and nowhere if they were rolled back. ``publish`` runs on the event loop that entered the block. Raises ``ConfigurationError`` for
        what is no session.
        """
        ...


@dataclass(frozen=True, slots=True)
class Joined:
    """A host's transaction: a storage all of whose methods run in it, and what takes the signals of its writes."""

    storage: Storage
    announce: Publish


@dataclass(frozen=True, slots=True)
class Wake:
    """Somebody has committed events of a conversation, up to ``last_id`` at least; ``user_ids`` have come to it or left it with them."""

    application_id: str
    conversation_id: str
    last_id: int
    user_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Whisper:
    """An ephemeral event, which is in no log: ``data`` is its JSON. ``id`` is another one for each, and who has heard it ignores it."""

    application_id: str
    conversation_id: str
    id: str
    data: str


News: TypeAlias = Wake | Whisper


@runtime_checkable
class Broker(Protocol):
    """Lets the processes that share a storage know that there is something to read.

    It carries no truth. What it loses, doubles, delays or puts out of order costs time only, for the log is read once in a while anyway;
    a whisper that it loses is lost. What it raises is logged. ``conversation_kit.relay.Relay`` is most of one that has a server.
    """

    def tell(self, news: Sequence[News]) -> None:
        """Pass these on to everybody who listens, in other processes too, soon. Called after the commit; never waits for a server."""

    async def listen(self, heard: Callable[[News], None]) -> None:
        """Call ``heard``, on this event loop, for whatever is told from now on; until cancelled. Run again when it raises or returns."""


@runtime_checkable
class Connected(Protocol):
    """What a broker may have besides: connections that stay open between two calls."""

    async def open(self) -> None:
        """Try to connect. What is wrong is logged and not raised, since the kit works without; every use does the same if need be."""

    async def close(self) -> None:
        """Release what it holds; whoever listens comes to an end. The next use begins anew."""


class Authenticator(Protocol):
    """Tells who is calling."""

    @property
    def applications(self) -> Sequence[str]:
        """The ids of the applications it can vouch for. The only one, if there is one, is the kit's own default."""
        ...

    async def authenticate(self, scope: ASGIScope) -> Principal:
        """The caller of an ASGI request. Raises ``Unauthenticated``."""
        ...
