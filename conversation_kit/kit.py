"""ConversationKit: the one object that a host puts together, registers with, and mounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from typing import Any, TypeVar, cast

from conversation_kit.brokers import make_broker
from conversation_kit.domain.commands import Command
from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.event_types import check_registered
from conversation_kit.domain.signals import Signal
from conversation_kit.hooks import Hook, OnFailure
from conversation_kit.http.app import EXTENSIONS, OPERATIONS, Door
from conversation_kit.http.mounting import ASGIApp, Middleware, Receive, Scope, Send
from conversation_kit.http.openapi import document
from conversation_kit.http.pages import Pages
from conversation_kit.http.stopping import Signals
from conversation_kit.http.streams import StreamLimits, Streams
from conversation_kit.http.tickets import Tickets
from conversation_kit.hub import Receiver
from conversation_kit.live.registry import Live
from conversation_kit.memory import MemoryStorage
from conversation_kit.ports import Authenticator, Broker, Migrates, Migration, Storage, TransactionalStorage
from conversation_kit.services.acting import Chat
from conversation_kit.services.core import Authorize, Core
from conversation_kit.services.listening import numbers
from conversation_kit.services.opening import Opening
from conversation_kit.within import WithinHook

H = TypeVar("H", bound=Hook)
R = TypeVar("R", bound=Receiver)
W = TypeVar("W", bound=WithinHook)

EVERYTHING = (*OPERATIONS, *EXTENSIONS)
STOP_SECONDS = 2.0
"""How long a stop waits for live streams to say goodbye."""


class ConversationKit(Chat):
    """A conversation backend, and the ASGI application that serves it.

    ``storage`` is a URL (``memory://``, ``sqlite:///chat.db``) or an object with the methods of ``Storage``. ``auth`` says who calls.
    ``authorize`` may overrule the default policy. ``application_id`` is the application in which the host's own calls act; it need not be
    given when ``auth`` knows one only. ``public_url`` fixes the base of all hrefs; otherwise they follow the request. ``event_types`` are
    further event types that clients may post. ``max_members`` caps the invited and joined members of a conversation. ``docs`` switches the
    index, ``/openapi.json`` and ``/docs``. ``stream_limits`` is what live streams may cost; ``allowed_origins`` are the origins, such as
    ``https://shop.example``, whose pages may open WebSockets beside those of the host itself; ``broker`` lets live streams of other
    processes know at once what this one commits: a URL (``redis://...``, ``nats://...``, ``postgres`` for the storage's own database) or an
    object with the methods of ``Broker``; ``ticket_secret`` seals the tickets of browsers, and has to be the same in all processes that
    serve them; ``handle_signals`` lets open streams end when the process gets SIGTERM or SIGINT, before whoever handles the signal
    otherwise. Raises ``ConfigurationError``.
    """

    def __init__(
        self,
        *,
        storage: str | Storage,
        auth: Authenticator,
        authorize: Authorize | None = None,
        application_id: str | None = None,
        public_url: str | None = None,
        event_types: Iterable[str] = (),
        max_members: int = 1000,
        docs: bool = True,
        stream_limits: StreamLimits = StreamLimits(),
        allowed_origins: Iterable[str] = (),
        ticket_secret: str | None = None,
        broker: str | Broker | None = None,
        handle_signals: bool = True,
    ) -> None:
        if not hasattr(auth, "authenticate"):
            raise ConfigurationError("auth= takes a JWTAuthenticator, a HostAuthenticator, or an object with their methods.")
        self.storage = make_storage(storage) if isinstance(storage, str) else storage
        if isinstance(self.storage, type) or not isinstance(self.storage, Storage):
            missing = [name for name in dir(Storage) if not name.startswith("_") and not hasattr(self.storage, name)]
            why = f"lacks {', '.join(missing)}" if missing else "is a class: make an object of it"
            raise ConfigurationError(f"storage= takes a URL or a storage; {self.storage!r} {why}.")
        self._auth = auth
        self._application_id = application_id
        opening = Opening(self.storage)
        core = Core(
            opening,
            Live(numbers(opening), None if broker is None else make_broker(broker, self.storage)),
            authorize=authorize,
            event_types=check_registered(event_types),
            max_members=max_members,
        )
        super().__init__(core, self._application)
        signals = Signals(core.live.hang_up, enabled=handle_signals)
        streams = Streams(stream_limits, signals, Tickets(ticket_secret), allowed_origins)
        self._door = Door(core, auth, streams, public_url=public_url, pages=Pages(EVERYTHING) if docs else None)

    def before(self, command: type[Command], *, timeout: float = 5.0, on_failure: OnFailure = "reject") -> Callable[[H], H]:
        """Register a hook that sees every such command before it is carried out, in the order of registration.

        The hook gets ``(command, context)``, sync or async; it may return a changed command (``dataclasses.replace``) or raise
        ``Rejected``. When it raises anything else, or takes longer than ``timeout`` seconds, the command is refused with a 503
        (``on_failure="reject"``) or goes on without it (``"allow"``).
        """

        def register(hook: H) -> H:
            self._core.hooks.add(command, hook, timeout=timeout, on_failure=on_failure)
            return hook

        return register

    def on(self, what: type[Signal] | str, *, timeout: float = 5.0) -> Callable[[R], R]:
        """Register a receiver of a signal, or of ``EventCreated`` for the event types that match a pattern (``"custom:*"``).

        It is called after the commit with the signal, sync or async, beside other receivers. What it raises is logged; after ``timeout``
        seconds it is left behind. The request waits for its receivers, so start a task of your own for what takes long.
        """

        def register(receiver: R) -> R:
            self._core.hub.add(what, receiver, timeout=timeout)
            return receiver

        return register

    def within(self, what: type[Signal] | str) -> Callable[[W], W]:
        """Register a hook that runs inside the transaction of what it is told of, for the same as ``on`` takes.

        The hook gets ``(signal, session)``, an SQLAlchemy ``Session`` in that transaction, after everything is written and before the
        commit. It is a plain function and runs in a worker thread. What it writes with the session is committed with the rest. When it
        raises, the command is undone: a ``RequestError`` such as ``Rejected`` is what the client gets, anything else is logged and is a
        503. Raises ``ConfigurationError`` for an async function, and if the storage has no transactions.
        """
        self._transactional("within")

        def register(hook: W) -> W:
            self._core.within.add(what, hook)
            return hook

        return register

    @asynccontextmanager
    async def using(self, session: Any) -> AsyncIterator[Chat]:
        """The kit inside the host's own transaction: what ``chat`` reads and writes in the block, it does there.

        ``session`` is an SQLAlchemy ``Session``, ``AsyncSession``, ``Connection`` or ``AsyncConnection`` on the database of the kit's
        storage. Committing is the host's business, inside the block or after it. Hooks run as ever. Signals are announced after
        the commit, and not at all when what they tell of is rolled back; if the commit is inside the block, the receivers have
        run when the block ends. Raises ``ConfigurationError``.
        """
        storage = self._transactional("using")
        await self._core.storage()
        async with storage.joined(session, self._core.publish) as joined:
            yield Chat(self._core.joined(joined), self._default_application)

    def _transactional(self, what: str) -> TransactionalStorage:
        if not self.storage.capabilities.transactions:
            raise ConfigurationError(
                f"kit.{what}() needs a storage on a database, and {type(self.storage).__name__} has no transactions to share: "
                "give ConversationKit a storage such as sqlite:///chat.db or SQLStorage(engine)."
            )
        return cast(TransactionalStorage, self.storage)

    def _application(self) -> str:
        if self._application_id is not None:
            return self._application_id
        applications = self._auth.applications
        if len(applications) != 1:
            raise ConfigurationError(
                f"There are {len(applications)} applications: give ConversationKit an application_id, or use kit.application(id)."
            )
        return applications[0]

    def openapi(self, prefix: str = "") -> dict[str, Any]:
        """The OpenAPI document with ``prefix`` before every path, to merge into a host's own."""
        return document(EVERYTHING, prefix=prefix.rstrip("/"))

    def middleware(self, app: ASGIApp, prefix: str) -> Middleware:
        """``app`` with the kit mounted at ``prefix``; also takes part in the server's lifespan. For Quart and any other ASGI host."""
        return Middleware(app, prefix, self)

    async def start(self) -> None:
        """Open the storage now rather than at first use. Counted: every ``start`` is undone by one ``stop``."""
        await self._core.opening.start()
        await self._core.live.start()

    async def stop(self) -> None:
        """Close the storage when nobody else has it started, and nobody uses it without; the next use opens it again.

        When it is closed live streams end first.
        """
        if self._core.opening.closes_next:
            await self._core.live.stop(STOP_SECONDS)
        await self._core.opening.stop()

    async def close(self) -> None:
        """Close the storage whoever uses it, for scripts that run no lifespan; the next use opens it again."""
        await self._core.live.stop(STOP_SECONDS)
        await self._core.opening.close()

    async def migrate(self) -> Migration | None:
        """Bring the storage's schema to the newest version, keeping all data, and say from which version to which.

        Also makes what is missing. ``None``: this storage has no schema. Raises ``ConfigurationError`` and ``StorageUnavailable``.
        """
        return await self.storage.migrate() if isinstance(self.storage, Migrates) else None

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """For ``Starlette(lifespan=kit.lifespan)``, or inside a lifespan of the host's own; may be entered more than once."""
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            await self._door(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._door.socket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await Middleware(_nobody, "", self)(scope, receive, send)
        else:
            raise ConfigurationError(f"The kit serves no ASGI scope of type {scope['type']!r}.")


async def _nobody(scope: Scope, receive: Receive, send: Send) -> None:
    """A host without a lifespan of its own."""


def make_storage(url: str, **options: Any) -> Storage:
    """The storage of a URL: ``memory://``, or what an installed adapter registers for the scheme.

    Adapters register under the entry point group ``conversation_kit.storages``; they get the ``options`` as they are. Raises
    ``ConfigurationError``.
    """
    scheme = url.partition("://")[0].partition("+")[0]
    if scheme == "memory":
        return MemoryStorage()
    for entry_point in entry_points(group="conversation_kit.storages", name=scheme):
        try:
            adapter = entry_point.load()
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"The storage {scheme!r} needs {error.name}: pip install 'conversation-kit[sql]'.") from error
        try:
            storage: Storage = adapter(url, **options)
        except TypeError as error:
            if not options:
                raise
            raise ConfigurationError(f"The storage {scheme!r} does not take {', '.join(options)}: {error}") from error
        return storage
    raise ConfigurationError(f"No installed storage serves {scheme!r}: use memory:// or sqlite:///file.db, or install its adapter.")
