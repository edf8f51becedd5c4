"""Core that the services share: the storage, the hooks, the hub, and the host's say in who may do what."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias, TypeVar

import anyio.lowlevel
from anyio.lowlevel import RunVar

from conversation_kit.decisions.deciding import Decision, decide, decide_once
from conversation_kit.domain.actions import Action
from conversation_kit.domain.commands import Command
from conversation_kit.domain.errors import Forbidden, HookFailed, NotFound, RequestError
from conversation_kit.domain.models import ACTIVE, MemberState, User
from conversation_kit.domain.principals import DEFAULT_POLICY, Actor, Policy, Principal
from conversation_kit.domain.reading import Access
from conversation_kit.domain.rules import require_caller
from conversation_kit.domain.scene import Changes, Needs
from conversation_kit.domain.signals import Signal
from conversation_kit.domain.values import times
from conversation_kit.domain.values.answers import Claim
from conversation_kit.domain.values.checks import check_ids
from conversation_kit.domain.values.ids import new_id
from conversation_kit.domain.values.moments import Moment
from conversation_kit.hooks.before import NOTHING_DONE, Hooks, bounds_of_hook
from conversation_kit.hooks.bounds import current_bounds
from conversation_kit.hooks.invoking import Overran, Pool, invoke, name_of
from conversation_kit.hooks.receivers import Hub
from conversation_kit.hooks.transaction import WithinHooks, logged, running
from conversation_kit.live.bus import Bus
from conversation_kit.meters.limiter import Limiter
from conversation_kit.ports import HostTransaction, Publish, Storage, Within
from conversation_kit.services.idempotency_keys import IdempotencyKey, UnderWay
from conversation_kit.services.lifecycle import Lifecycle
from conversation_kit.services.shielded import undisturbed

T = TypeVar("T")
C = TypeVar("C", bound=Command)

logger = logging.getLogger("conversation_kit")

AUTHORIZE_SECONDS = 5.0
SWEEP_SECONDS = 60.0
_TEXT_OR_NONE = frozenset((str, type(None)))
_authorize_threads: Pool = RunVar("conversation_kit_authorize")


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """Question to an ``authorize`` callable: who wants to do what, and to whom or what.

    ``action`` is the kit's own name for it, such as ``members.join``: the same whichever operation of whichever API asks for it. Ids that
    the action does not have are ``None``. ``user_id`` is the user acted upon, also when a client names it otherwise.
    """

    principal: Principal
    action: Action
    conversation_id: str | None = None
    user_id: str | None = None
    member_id: str | None = None
    event_id: int | None = None
    leg_id: str | None = None


Authorize: TypeAlias = Callable[[AccessRequest], bool | Awaitable[bool | None] | None]
"""``True`` allows what the default policy would not, ``False`` refuses, ``None`` leaves it to the default policy."""


@dataclass(slots=True)
class KitContext:
    """One kit's working parts.

    ``announce`` takes the signals instead of the hub where the transaction is the host's.
    """

    lifecycle: Lifecycle
    bus: Bus
    hooks: Hooks = field(default_factory=Hooks)
    within: WithinHooks = field(default_factory=WithinHooks)
    hub: Hub = field(default_factory=Hub)
    announce: Publish | None = None
    authorize: Authorize | None = None
    policy: Policy = DEFAULT_POLICY
    limiter: Limiter | None = None
    clock: Callable[[], datetime] = times.now
    new_id: Callable[[str], str] = new_id
    answers_last: timedelta = timedelta(hours=24)
    under_way: UnderWay = field(default_factory=UnderWay)
    _swept: dict[str, float] = field(default_factory=dict)

    def storage(self) -> Awaitable[Storage]:
        """Return the storage, opened at first use, to be awaited."""
        return self.lifecycle.storage()

    async def unrestricted(
        self,
        principal: Principal,
        action: Action,
        *,
        conversation_id: str | None = None,
        user_id: str | None = None,
        user_name: str | None = None,
        member_id: str | None = None,
        event_id: int | None = None,
        leg_id: str | None = None,
    ) -> bool:
        """Tell whether ``principal`` may do it whatever the default policy says of users.

        Raises ``Forbidden`` when the host's ``authorize`` refuses, and ``HookFailed`` when it raises or takes too long.
        """
        ids = conversation_id, user_id, user_name, member_id, leg_id
        if not _TEXT_OR_NONE.issuperset(map(type, ids)) or (event_id is not None and type(event_id) is not int):
            check_ids(
                conversation_id=conversation_id,
                user_id=user_id,
                user_name=user_name,
                member_id=member_id,
                event_id=event_id,
                leg_id=leg_id,
            )
        if principal.trusted:
            return True
        if self.authorize is None:
            return principal.user_name is None
        if user_id is None and user_name is not None:
            user_id = await self.id_of(principal.application_id, user_name)
        request = AccessRequest(principal, action, conversation_id, user_id, member_id, event_id, leg_id)
        verdict = await self._ask(self.authorize, request)
        if verdict is False:
            raise Forbidden("This server does not allow you to do this.")
        return principal.is_admin or verdict is True

    async def _ask(self, authorize: Authorize, request: AccessRequest) -> bool | None:
        """Return what the host's function says; without an answer nobody may do anything."""
        name = name_of(authorize)
        try:
            verdict: bool | None = await invoke(_authorize_threads, bounds_of_hook(name, AUTHORIZE_SECONDS), authorize, request)
        except (RequestError, HookFailed):
            raise
        except Exception as error:
            if isinstance(error, Overran):
                logger.error("authorize %s %s; %s is refused", name, error, request.action)
            else:
                logger.exception("authorize %s failed; %s is refused", name, request.action)
            raise HookFailed(f"A hook of this server failed.{NOTHING_DONE}") from error
        return verdict

    async def id_of(self, application_id: str, user_name: str) -> str | None:
        """Return the id of the user of this name, if there is one."""
        try:
            return (await (await self.storage()).get_user(application_id, name=user_name)).id
        except NotFound:
            return None

    async def admins_only(self, principal: Principal, action: Action, *, user_id: str | None = None, leg_id: str | None = None) -> None:
        """Raise ``Forbidden`` for users, unless the host says otherwise."""
        if not await self.unrestricted(principal, action, user_id=user_id, leg_id=leg_id):
            raise Forbidden("This needs an admin token, one without a sub.")
        if principal.user_name is not None:
            await self.caller(principal)

    async def caller(self, principal: Principal) -> User:
        """Look up the user that ``principal`` is, who must have a name. Raises ``Unauthenticated``."""
        assert principal.user_name is not None
        try:
            user = await (await self.storage()).get_user(principal.application_id, name=principal.user_name)
        except NotFound:
            user = None
        return require_caller(user, principal.user_name, principal.issued_at)

    async def access(
        self,
        principal: Principal,
        action: Action,
        *,
        conversation_id: str,
        member_id: str | None = None,
        event_id: int | None = None,
        states: frozenset[MemberState] = ACTIVE,
        creator: bool = True,
    ) -> Access:
        """Return the filter for reading a conversation as ``principal``."""
        free = await self.unrestricted(principal, action, conversation_id=conversation_id, member_id=member_id, event_id=event_id)
        return Access(principal.application_id, self.clock(), principal.user_name, states, creator, principal.issued_at, free)

    def moment(self) -> Moment:
        """Return the moment of a command that is carried out now."""
        return Moment(self.clock(), self.new_id)

    async def change(
        self,
        decision: Decision[C, T],
        command: C,
        actor: Actor,
        conversation_id: str | None,
        needs: Needs,
        moment: Moment | None = None,
        claim: Claim | None = None,
    ) -> T:
        """Commit one decision and announce what it did; a caller that goes away stops neither.

        ``conversation_id`` is the conversation on whose scene it is taken, or that it makes. ``moment`` is now unless it is given.
        With ``claim`` its answer is kept for the repeats of the request. Raises ``Unauthenticated`` when ``needs.caller`` is nobody, and
        ``key_in_use`` when somebody else has the claim.
        """
        for id in needs.members:
            if not isinstance(id, str):
                check_ids(member_id=id)
        if conversation_id is not None and not isinstance(conversation_id, str):
            check_ids(conversation_id=conversation_id)
        application_id = actor.principal.application_id
        # Taken once: a storage may decide several times, and all of them see the same time and ids.
        moment = moment or self.moment()
        storage = self.lifecycle.opened
        if storage is None or running.get() is not None:
            storage = await self.lifecycle.storage()
        decided = partial(decide, needs, decision, command, actor, moment)
        if claim is not None:
            decided = partial(decide_once, claim, moment.now, decided)
        within = self.within.beside() if self.within.registrations else None
        bus = self.bus
        is_heard = bus.dispatchers or bus.broker is not None
        if within is not None or self.hub.registrations or (is_heard and self._is_followed((application_id, conversation_id))):
            if current_bounds() is not None:
                # A function of the host that is out of time begins nothing more.
                await anyio.lowlevel.checkpoint_if_cancelled()
            write: Callable[..., Awaitable[Changes[T]]] = partial(storage.change, application_id, conversation_id, needs, decided)
            return (await undisturbed(partial(self._commit_and_tell, write, within))).result
        # Nothing is left to do after the commit, and whether it happens is for the storage to see to.
        changes = await storage.change(application_id, conversation_id, needs, decided)
        if (bus.dispatchers or bus.broker is not None) and self.announce is None:
            bus.publish(changes.signals)  # to other processes, and to who has come meanwhile
        return changes.result

    def _is_followed(self, conversation: tuple[str, str | None] | None) -> bool:
        """Tell whether somebody who listens has to be told of the conversation at once, or after the host's commit."""
        return self.announce is not None or self.bus.watches(conversation)

    async def _commit_and_tell(self, write: Callable[..., Awaitable[Changes[T]]], within: Within | None) -> Changes[T]:
        if within is None:
            changes = await write()
        else:
            with logged():
                changes = await write(within=within)
        is_heard = self.hub.registrations or self.bus.dispatchers or self.bus.broker is not None
        if is_heard and changes.signals:
            await (self.announce or self.publish)(changes.signals)
        return changes

    async def publish(self, signals: Sequence[Signal]) -> None:
        """Give the signals of one commit to the live subscriptions, here and elsewhere, which takes no time, and to the receivers."""
        self.bus.publish(signals)
        await self.hub.publish(signals)

    def in_transaction(self, transaction: HostTransaction) -> KitContext:
        """Return the same kit at work in a host's transaction."""
        limiter = None if self.limiter is None else self.limiter.within(transaction.storage)
        return replace(self, lifecycle=Lifecycle(transaction.storage), announce=transaction.announce, limiter=limiter)

    def sweep_is_due(self, application_id: str) -> bool:
        """Tell whether to look for expired conversations again, ``SWEEP_SECONDS`` after the last time it was asked and said so.

        The first time is no sooner: what makes one conversation and ends, as a script does, leaves that to those who stay. It is never so
        in a host's transaction.
        """
        if self.announce is not None:
            return False
        now = time.monotonic()
        if now - self._swept.setdefault(application_id, now) < SWEEP_SECONDS:
            return False
        self._swept[application_id] = now
        return True


@dataclass(slots=True)
class Service:
    """A noun's operations, bound to who calls them, and maybe to an idempotency key and what it is claimed for."""

    context: KitContext
    principal: Principal
    key: IdempotencyKey | None = None
    claim: Claim | None = None

    @property
    def application_id(self) -> str:
        """The application in which everything happens."""
        return self.principal.application_id

    def change(
        self,
        decision: Decision[C, T],
        command: C,
        free: bool,
        conversation_id: str | None,
        needs: Needs,
        moment: Moment | None = None,
    ) -> Awaitable[T]:
        """Commit one decision, to be awaited, as ``KitContext.change`` does; ``free`` lifts the default policy."""
        return self.context.change(
            decision, command, Actor(self.principal, free, self.context.policy), conversation_id, needs, moment, self.claim
        )

    async def before(self, command: C) -> C:
        """Let the hooks see, change or refuse the command."""
        return await self.context.hooks.run(command, self.principal)
