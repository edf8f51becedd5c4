"""ConversationKit: the one object that a host puts together, registers with, and mounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from conversation_kit.brokers.factory import make_broker
from conversation_kit.domain.commands import Command
from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.event_types import check_registered
from conversation_kit.domain.models import JoinPolicy
from conversation_kit.domain.principals import InvitationLimits, Policy
from conversation_kit.domain.signals import Announcement
from conversation_kit.domain.values import times
from conversation_kit.domain.values.limits import Limits
from conversation_kit.hooks.before import Hook, OnFailure, check_before
from conversation_kit.hooks.receivers import Receiver
from conversation_kit.hooks.selection import Selection
from conversation_kit.hooks.signatures import check_function, check_seconds
from conversation_kit.hooks.transaction import WithinHook
from conversation_kit.http.app import App, Resources
from conversation_kit.http.beta.api import BETA
from conversation_kit.http.live.shutdown import ShutdownWatch
from conversation_kit.http.live.streams import StreamLimits, Streams
from conversation_kit.http.live.tickets import Tickets
from conversation_kit.http.pages.openapi import document
from conversation_kit.http.serving.api import API
from conversation_kit.http.serving.long_answers import AnswerLimits, Outgoing
from conversation_kit.http.serving.mounting import ASGIApp, Middleware, Receive, Scope, Send
from conversation_kit.http.serving.refusals import Refusals
from conversation_kit.live.bus import Bus
from conversation_kit.memory.factory import make_storage
from conversation_kit.meters.limiter import make_limiter
from conversation_kit.ports import (
    Authenticator,
    Broker,
    Buffered,
    Meter,
    Migrates,
    Migration,
    Observable,
    Restorable,
    Storage,
    TransactionalStorage,
)
from conversation_kit.services.client import HostClient
from conversation_kit.services.context import Authorize, KitContext
from conversation_kit.services.lifecycle import Lifecycle
from conversation_kit.services.streams import epochs, numbers
from conversation_kit.stats import Stats

H = TypeVar("H", bound=Hook)
R = TypeVar("R", bound=Receiver)
W = TypeVar("W", bound=WithinHook)

STOP_SECONDS = 2.0
"""Seconds that a stop waits for live streams to say goodbye."""

DRAIN_SECONDS = 5.0
"""Seconds that a stop waits before that for receivers in the background."""


class ConversationKit(HostClient):
    """A conversation backend, and the ASGI application that serves it.

    - ``storage``: a URL (``memory://``, ``sqlite:///chat.db``), or an object with the methods of ``Storage``.
    - ``auth``: says who calls.
    - ``authorize``: may overrule the default policy.
    - ``application_id``: the application in which the host's own calls act. Not needed when ``auth`` knows only one.
    - ``public_url``: the base of all hrefs. Without it they follow the request.
    - ``event_types``: further event types that clients may post.
    - ``max_members``: the most invited and joined members of a conversation.
    - ``join``: ``"anyone"`` lets users join a conversation whose id they know; ``"invited"`` only those who are invited.
    - ``invitation_limits``: how many invitations may be unanswered.
    - ``docs``: ``False`` switches the index, ``/openapi.json`` and ``/docs`` off.
    - ``stream_limits``: the limits of live streams.
    - ``answer_limits``: the limits of long answers that clients are slow to read.
    - ``allowed_origins``: origins, such as ``https://shop.example``, whose pages may open WebSockets, beside those of the host itself.
    - ``ticket_secret``: seals the tickets of browsers, and the ephemeral events that a broker carries. All processes need the same one.
    - ``broker``: tells the live streams of other processes at once what this one commits. A URL (``redis://...``, ``nats://...``,
      ``postgres`` for the storage's own database), or an object with the methods of ``Broker``.
    - ``limits``: how much each user and each application may create in a time. Without it nothing is counted.
    - ``meter``: counts for the limits in all processes: ``storage`` for the storage's own database, a URL (``redis://...``), or an
      object with the method of ``Meter``. Without it each process counts for itself.
    - ``handle_signals``: ends open streams when the process gets SIGTERM or SIGINT, and passes the signal on.
    - ``idempotency_hours``: how long answers to requests with an idempotency key are kept for their repeats.
    - ``host_parameters``: query parameters that the host's own code reads, such as a key. All others that an operation does not have are
      a 400.
    - ``clock``: tells the time, aware and in UTC, for tests: ``conversation_kit.testing.FakeClock``.

    Raises ``ConfigurationError``.
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
        join: JoinPolicy = "anyone",
        invitation_limits: InvitationLimits = InvitationLimits(),
        docs: bool = True,
        stream_limits: StreamLimits = StreamLimits(),
        answer_limits: AnswerLimits = AnswerLimits(),
        allowed_origins: Iterable[str] = (),
        ticket_secret: str | None = None,
        broker: str | Broker | None = None,
        limits: Limits | None = None,
        meter: str | Meter | None = None,
        handle_signals: bool = True,
        idempotency_hours: float = 24.0,
        host_parameters: Collection[str] = (),
        clock: Callable[[], datetime] = times.now,
    ) -> None:
        if not hasattr(auth, "authenticate"):
            raise ConfigurationError("auth= takes a JWTAuthenticator, a HostAuthenticator, or an object with their methods.")
        self.storage = make_storage(storage) if isinstance(storage, str) else storage
        if isinstance(self.storage, type) or not isinstance(self.storage, Storage):
            missing = [name for name in dir(Storage) if not name.startswith("_") and not hasattr(self.storage, name)]
            why = f"lacks {', '.join(missing)}" if missing else "is a class: make an object of it"
            raise ConfigurationError(f"storage= takes a URL or a storage; {self.storage!r} {why}.")
        if authorize is not None:
            check_function("authorize=", authorize, "an AccessRequest")
        if isinstance(max_members, bool) or not isinstance(max_members, int) or max_members < 1:
            raise ConfigurationError(f"max_members= takes a number of 1 or more, not {max_members!r}.")
        if isinstance(idempotency_hours, bool) or not isinstance(idempotency_hours, (int, float)) or not 0 < idempotency_hours <= 8760:
            raise ConfigurationError(
                f"idempotency_hours= takes a number of hours above 0, a year (8760) at most, not {idempotency_hours!r}."
            )
        self._auth = auth
        self._application_id = application_id
        lifecycle = Lifecycle(self.storage)
        context = KitContext(
            lifecycle,
            Bus(numbers(lifecycle), epochs(lifecycle), None if broker is None else make_broker(broker, self.storage), ticket_secret),
            authorize=authorize,
            answers_last=timedelta(hours=idempotency_hours),
            policy=Policy(check_registered(event_types), max_members, _checked(join), invitation_limits),
            limiter=make_limiter(limits, meter, self.storage, lifecycle.storage),
            clock=clock,
        )
        super().__init__(context, self._application)
        shutdown = ShutdownWatch(context.bus.end_streams, enabled=handle_signals)
        streams = Streams(stream_limits, shutdown, Tickets(ticket_secret), allowed_origins)
        self._resources = Resources(context, auth, streams, Outgoing(answer_limits), Refusals(context.hub), docs, host_parameters)
        self._app = self.serving({"": BETA}, public_url=public_url)
        self._beta = self._app.apis[""]

    def before(self, command: type[Command], *, timeout: float = 5.0, on_failure: OnFailure = "reject") -> Callable[[H], H]:
        """Register a hook that sees every such command before it is carried out, in the order of registration.

        The hook gets ``(command, context)``, sync or async; it may return a changed command (``dataclasses.replace``) or raise
        ``Rejected``. When it raises anything else, or takes longer than ``timeout`` seconds, the command is refused with a 503
        (``on_failure="reject"``) or goes on without it (``"allow"``).
        """
        check_before(command, timeout, on_failure)

        def register(hook: H) -> H:
            self._context.hooks.add(command, hook, timeout=timeout, on_failure=on_failure)
            return hook

        return register

    def on(self, what: type[Announcement] | str, *, timeout: float | None = None, background: bool = False) -> Callable[[R], R]:
        """Register a receiver of a signal, or of ``EventCreated`` for the event types that match a pattern (``"custom:*"``).

        It is called after the commit with the signal, sync or async, beside other receivers. What it raises is logged; after ``timeout``
        seconds (5, or 300 in the background) it is cut. The request waits for its receivers, but for those with ``background``, of which
        an event loop runs a hundred at once; ``stop`` and ``close`` wait for them for a while. Raises ``ConfigurationError``.
        """
        selection = Selection.of(what, "on", self._context.policy.event_types)
        if timeout is not None:
            check_seconds("on()", timeout)

        def register(receiver: R) -> R:
            self._context.hub.add(selection, receiver, timeout=timeout, background=background)
            return receiver

        return register

    def within(self, what: type[Announcement] | str) -> Callable[[W], W]:
        """Register a hook that runs inside the transaction of what it is told of, for the same as ``on`` takes.

        The hook gets ``(signal, session)``, an SQLAlchemy ``Session`` in that transaction, after everything is written and before the
        commit. It is a plain function and runs in a worker thread. What it writes with the session is committed with the rest. When it
        raises, the command is undone: a ``RequestError`` such as ``Rejected`` is what the client gets, anything else is logged and is a
        503. Raises ``ConfigurationError`` for an async function, and if the storage has no transactions.
        """
        selection = Selection.of(what, "within", self._context.policy.event_types)
        self._transactional("within")

        def register(hook: W) -> W:
            self._context.within.add(selection, hook)
            return hook

        return register

    @asynccontextmanager
    async def using(self, session: Any) -> AsyncIterator[HostClient]:
        """Give the kit inside the host's own transaction, in which ``chat`` reads and writes as long as the block lasts.

        ``session`` is an SQLAlchemy ``Session``, ``AsyncSession``, ``Connection`` or ``AsyncConnection`` on the database of the kit's
        storage. Committing is the host's business, inside the block or after it. Hooks run as ever. Signals are announced after
        the commit, and not at all when what they tell of is rolled back; if the commit is inside the block, the receivers have
        run when the block ends. Raises ``ConfigurationError``.
        """
        storage = self._transactional("using")
        await self._context.storage()
        async with storage.in_transaction(session, self._context.publish) as transaction:
            yield HostClient(self._context.in_transaction(transaction), self._default_application)

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
        """Return the OpenAPI document with ``prefix`` before every path, to merge into a host's own."""
        return document(BETA, prefix=prefix.rstrip("/"))

    def serving(self, apis: Mapping[str, API], *, public_url: str | None = None) -> App:
        """Return an ASGI application that serves these APIs out of this kit, each below its prefix, such as ``/v1``.

        ``public_url`` is what stands before the prefixes in all hrefs; without it they follow the request. Raises ``ConfigurationError``.
        """
        return App(apis, self._resources, self, public_url=public_url)

    def middleware(self, app: ASGIApp, prefix: str) -> Middleware:
        """Return ``app`` with the kit mounted at ``prefix``; it takes part in the server's lifespan too. For Quart and any ASGI host."""
        return Middleware(app, prefix, self)

    async def start(self) -> None:
        """Open the storage now rather than at first use. Counted: every ``start`` is undone by one ``stop``.

        A storage that cannot answer now is logged and opened at the first use. Raises ``ConfigurationError`` for what time will not mend.
        """
        await self._context.lifecycle.start()
        await self._context.bus.start()

    async def stop(self) -> None:
        """Close the storage when nobody else has it started, and nobody uses it without; the next use opens it again.

        When it is closed, receivers in the background come to their end first, or are cut after 5 seconds, and live streams end.
        """
        if self._context.lifecycle.closes_next:
            await self._end_all()
        await self._context.lifecycle.stop()

    async def close(self) -> None:
        """Close the storage whoever uses it, for scripts that run no lifespan; the next use opens it again."""
        await self._end_all()
        await self._context.lifecycle.close()

    async def _end_all(self) -> None:
        await self._context.hub.drain(DRAIN_SECONDS)
        await self._context.bus.stop(STOP_SECONDS)
        if self._context.limiter is not None:
            await self._context.limiter.close()

    async def migrate(self) -> Migration | None:
        """Bring the storage's schema to the newest version, keeping all data, and say from which version to which.

        Also makes what is missing. ``None``: this storage has no schema. Raises ``ConfigurationError`` and ``StorageUnavailable``.
        """
        return await self.storage.migrate() if isinstance(self.storage, Migrates) else None

    async def restored(self) -> str | None:
        """Say that the storage's data were put back to an earlier state, as from a backup, and return the epoch of the log from now on.

        Whoever listens, or goes on after something that they had before, is told to read again (``event:error:other-log``). ``None``: this
        storage cannot be put back. Raises ``ConfigurationError`` and ``StorageUnavailable``.
        """
        storage = await self._context.storage()
        return await storage.renew_epoch() if isinstance(storage, Restorable) else None

    def stats(self) -> Stats:
        """Return what is open and waits in this process, for metrics; may be called at any time, and in no event loop too."""
        bus, storage = self._context.bus, self.storage
        return Stats(
            streams=self._resources.streams.total,
            listeners=bus.listeners,
            topics=bus.topics,
            event_loops=len(bus.dispatchers),
            answer_bytes=self._resources.outgoing.total,
            background_jobs=self._context.hub.background_jobs,
            broker_messages=bus.broker.waiting if isinstance(bus.broker, Buffered) else 0,
            storage=dict(storage.stats()) if isinstance(storage, Observable) else {},
        )

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Run the kit, for ``Starlette(lifespan=kit.lifespan)`` or inside a lifespan of the host's own; may be entered more than once."""
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http" and "litestar_app" not in scope:
            await self._beta.http(scope, receive, send)  # what nearly all connections are, without a look for the API
        else:
            await self._app(scope, receive, send)


def _checked(join: JoinPolicy) -> JoinPolicy:
    if join not in ("anyone", "invited"):
        raise ConfigurationError(f'join= takes "anyone" or "invited", not {join!r}.')
    return join
