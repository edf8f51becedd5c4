"""What the services share: the storage, the hooks, the hub, and the host's say in who may do what."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

import anyio
from anyio.lowlevel import RunVar

from conversation_kit.domain import times
from conversation_kit.domain.commands import Command
from conversation_kit.domain.errors import Forbidden, HookFailed, NotFound, RequestError
from conversation_kit.domain.ids import new_id
from conversation_kit.domain.models import ACTIVE, MemberState
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.reading import Access
from conversation_kit.domain.rules import unknown_caller
from conversation_kit.domain.scene import Changes, Decide, Needs, Scene
from conversation_kit.domain.signals import Signal
from conversation_kit.hooks import Hooks, Pool, call
from conversation_kit.hub import Hub
from conversation_kit.live.registry import Live
from conversation_kit.ports import Joined, Publish, Storage
from conversation_kit.services.opening import Opening
from conversation_kit.within import WithinHooks

T = TypeVar("T")
R = TypeVar("R")
C = TypeVar("C", bound=Command)

logger = logging.getLogger("conversation_kit")

AUTHORIZE_SECONDS = 5.0
SWEEP_SECONDS = 60.0
SEEN_USERS = 100_000
_signals_of: Callable[[Changes[Any]], Sequence[Signal]] = attrgetter("signals")
_authorize_threads: Pool = RunVar("conversation_kit_authorize")


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What an ``authorize`` callable is asked about: who wants to call which operation on what.

    ``operation`` is the operationId of the API, or ``startLeg`` and ``updateLeg`` for what only the host's code can do; ids that the
    operation does not have are ``None``. ``user_id`` is the user acted upon, also when a client names it otherwise. ``action`` is
    ``invite`` or ``join`` where a member is made.
    """

    principal: Principal
    operation: str
    conversation_id: str | None = None
    user_id: str | None = None
    member_id: str | None = None
    event_id: int | None = None
    leg_id: str | None = None
    action: str | None = None


Authorize: TypeAlias = Callable[[AccessRequest], bool | Awaitable[bool | None] | None]
"""``True`` allows what the default policy would not, ``False`` refuses, ``None`` leaves it to the default policy."""


@dataclass(slots=True)
class Core:
    """One kit's working parts. ``max_members`` caps the invited and joined members of one conversation.

    ``announce`` takes the signals instead of the hub where the transaction is the host's.
    """

    opening: Opening
    live: Live
    hooks: Hooks = field(default_factory=Hooks)
    within: WithinHooks = field(default_factory=WithinHooks)
    hub: Hub = field(default_factory=Hub)
    announce: Publish | None = None
    authorize: Authorize | None = None
    event_types: frozenset[str] = frozenset()
    max_members: int = 1000
    clock: Callable[[], datetime] = times.now
    new_id: Callable[[str], str] = new_id
    _swept: dict[str, float] = field(default_factory=dict)
    _seen: set[tuple[str, str]] = field(default_factory=set)

    async def storage(self) -> Storage:
        """The storage, opened at first use."""
        return await self.opening.storage()

    async def unrestricted(
        self,
        principal: Principal,
        operation: str,
        *,
        action: str | None = None,
        conversation_id: str | None = None,
        user_id: str | None = None,
        user_name: str | None = None,
        member_id: str | None = None,
        event_id: int | None = None,
        leg_id: str | None = None,
    ) -> bool:
        """Whether ``principal`` may do it whatever the default policy says of users.

        Raises ``Forbidden`` when the host's ``authorize`` refuses, and ``HookFailed`` when it raises or takes too long.
        """
        if principal.trusted:
            return True
        if self.authorize is None:
            return principal.user_name is None
        if user_id is None and user_name is not None:
            user_id = await self.id_of(principal.application_id, user_name)
        request = AccessRequest(principal, operation, conversation_id, user_id, member_id, event_id, leg_id, action)
        try:
            with anyio.fail_after(AUTHORIZE_SECONDS):
                verdict = await call(_authorize_threads, self.authorize, request)
        except RequestError:
            raise
        except Exception as error:
            logger.exception("authorize failed for %s; the request is refused", operation)
            raise HookFailed("A hook of this server failed, so the request was not carried out.") from error
        if verdict is False:
            raise Forbidden("This server does not allow you to do this.")
        return principal.is_admin or verdict is True

    async def id_of(self, application_id: str, user_name: str) -> str | None:
        """The id of the user of this name, if there is one."""
        try:
            return (await (await self.storage()).get_user(application_id, name=user_name)).id
        except NotFound:
            return None

    async def admins_only(self, principal: Principal, operation: str, *, user_id: str | None = None, leg_id: str | None = None) -> None:
        """Raises ``Forbidden`` for users, unless the host says otherwise."""
        if not await self.unrestricted(principal, operation, user_id=user_id, leg_id=leg_id):
            raise Forbidden("This needs an admin token, one without a sub.")

    async def access(
        self,
        principal: Principal,
        operation: str,
        *,
        conversation_id: str,
        member_id: str | None = None,
        event_id: int | None = None,
        states: frozenset[MemberState] = ACTIVE,
        creator: bool = True,
    ) -> Access:
        """The filter for reading a conversation as ``principal``."""
        free = await self.unrestricted(principal, operation, conversation_id=conversation_id, member_id=member_id, event_id=event_id)
        user_name = None if free else principal.user_name
        return Access(principal.application_id, self.clock(), user_name, states, creator)

    async def change(self, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[T]) -> T:
        """Commit one decision and announce what it did; a caller that goes away stops neither.

        Raises ``Unauthenticated`` when ``needs.caller`` is nobody, before the decision may tell what else there is.
        """

        def decide_for_caller(scene: Scene) -> Changes[T]:
            if needs.caller is not None and scene.caller is None:
                raise unknown_caller(needs.caller)
            return decide(scene)

        storage = await self.opening.storage()
        changes: Changes[T] = await self.commit(
            storage.change,
            application_id,
            conversation_id,
            needs,
            decide_for_caller,
            signals=_signals_of,
            conversation=(application_id, conversation_id),
        )
        return changes.result

    async def commit(
        self,
        write: Callable[..., Awaitable[R]],
        *arguments: Any,
        signals: Callable[[R], Sequence[Signal]],
        conversation: tuple[str, str | None] | None = None,
    ) -> R:
        """Call one of the storage's methods that write, with what the host wants done within, and announce what its result means.

        ``conversation`` is the one that is written to. A caller that goes away stops neither.
        """
        within = self.within.beside(signals)
        live = self.live
        listens = self.hub.listens or (live.is_heard and (self.announce is not None or live.watches(conversation)))
        if within is None and not listens:
            # Nothing is left to do after the commit, and whether it happens is for the storage to see to.
            result = await write(*arguments)
            if live.is_heard and self.announce is None:
                live.publish(signals(result))  # to other processes, and to who has come meanwhile
            return result
        with anyio.CancelScope(shield=True):
            result = await (write(*arguments) if within is None else write(*arguments, within=within))
            if (self.hub.listens or live.is_heard) and (told := signals(result)):
                await (self.announce or self.publish)(told)
        return result

    async def publish(self, signals: Sequence[Signal]) -> None:
        """Give the signals of one commit to the live subscriptions, here and elsewhere, which takes no time, and to the receivers."""
        self.live.publish(signals)
        await self.hub.publish(signals)

    def joined(self, joined: Joined) -> Core:
        """The same kit at work in a host's transaction."""
        return replace(self, opening=Opening(joined.storage), announce=joined.announce)

    def sweep_is_due(self, application_id: str) -> bool:
        """Whether it is time to look for expired conversations again; says so once a minute, and never in a host's transaction."""
        if self.announce is not None:
            return False
        now = time.monotonic()
        if now - self._swept.get(application_id, -SWEEP_SECONDS) < SWEEP_SECONDS:
            return False
        self._swept[application_id] = now
        return True

    def has_seen(self, principal: Principal) -> bool:
        """Whether this user of the host has been ensured before; says so from the second time on, and forgets once in a while."""
        key = (principal.application_id, principal.user_name or "")
        if key in self._seen:
            return True
        if len(self._seen) >= SEEN_USERS:
            self._seen.clear()
        self._seen.add(key)
        return False


@dataclass(slots=True)
class Service:
    """A noun's operations, bound to who calls them."""

    core: Core
    principal: Principal

    @property
    def application_id(self) -> str:
        """The application in which everything happens."""
        return self.principal.application_id

    async def before(self, command: C) -> C:
        """Let the hooks see, change or refuse the command."""
        return await self.core.hooks.run(command, self.principal)
