"""Subscriptions and feeds of a principal: every look into the storage asks anew for the rights of getEvents and getuserConversations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from conversation_kit.domain.errors import ConfigurationError, InvalidInput
from conversation_kit.domain.models import Conversation, Member, MemberState
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.values.checks import check_ids
from conversation_kit.domain.values.epochs import FIRST_EPOCH, parse_cursor
from conversation_kit.domain.values.times import now
from conversation_kit.live.dispatcher import Epochs, Numbers
from conversation_kit.live.feeds import Feed
from conversation_kit.live.memberships import Membership, Memberships, Sources
from conversation_kit.live.subscriptions import Subscription
from conversation_kit.live.topics import Read, Topic
from conversation_kit.ports import Restorable
from conversation_kit.services.context import KitContext
from conversation_kit.services.events import Events
from conversation_kit.services.lifecycle import Lifecycle
from conversation_kit.services.users import Users

MAX_CONVERSATIONS = 500
"""Number of a user's conversations that a feed follows, joined ones first and then those that were made last: its cursor has to fit into
a header. It tells of the others."""

MAX_ASKED = 100
"""Conversations that a feed may be asked for by their ids, which have to fit into a URL."""

MAX_MEMBERSHIPS = 2 * MAX_CONVERSATIONS
"""Number of memberships that are looked at for them: a user may be a member over several channels."""


def numbers(lifecycle: Lifecycle) -> Numbers:
    """Return the function that tells live streams where there is something new."""

    async def sequence_numbers(application_id: str, conversation_ids: Sequence[str]) -> Mapping[str, int]:
        return await (await lifecycle.storage()).sequence_numbers(application_id, conversation_ids, now())

    return sequence_numbers


def epochs(lifecycle: Lifecycle) -> Epochs:
    """Return the function that tells live streams which log there is."""

    async def epoch() -> str:
        storage = await lifecycle.storage()
        return await storage.epoch() if isinstance(storage, Restorable) else FIRST_EPOCH

    return epoch


def subscribe(context: KitContext, principal: Principal, conversation_id: str, after: int | str | None) -> Subscription:
    """Return a subscription that nobody has entered yet.

    Raises ``invalid_cursor``, and ``ConfigurationError`` in a host's transaction.
    """
    _check_outside(context)
    check_ids(conversation_id=conversation_id)
    position, epoch = parse_cursor(after)

    async def who() -> str | None:
        return await _own_id(context, principal) if principal.user_name is not None else None

    topic = partial(_topic, context, principal.application_id, conversation_id)
    return Subscription(context.bus, topic, partial(Events(context, principal).page, conversation_id), who, position, epoch)


def feed(
    context: KitContext,
    principal: Principal,
    user_id: str | None,
    after: str | None,
    covers: Callable[[str], bool] = lambda conversation_id: True,
    among: Sequence[str] | None = None,
) -> Feed:
    """Return a feed that nobody has entered yet, of ``user_id`` or of the principal itself.

    Conversations that ``covers`` denies are left out, and so are all but those of ``among`` if that is given. Raises
    ``ConfigurationError`` in a host's transaction, and ``InvalidInput`` for more than ``MAX_ASKED`` of them.
    """
    _check_outside(context)
    check_ids(user_id=user_id)
    if among is not None and len(among) > MAX_ASKED:
        raise InvalidInput({"conversations": f"may name {MAX_ASKED} conversations"})

    async def who() -> str:
        if user_id is not None:
            return user_id
        return await _own_id(context, principal)

    async def memberships(user_id: str) -> Memberships:
        # At one moment, not page by page: a conversation that is missed would be taken for one that was left.
        found = await Users(context, principal).followed(user_id, MAX_MEMBERSHIPS, among)
        rows: dict[str, list[tuple[Conversation, Member]]] = {}
        for conversation, member in found.items:
            if covers(conversation.id):
                rows.setdefault(conversation.id, []).append((conversation, member))
        ids = list(rows)
        unseen = found.total - len(found.items)
        return Memberships([_membership(rows[id]) for id in ids[:MAX_CONVERSATIONS]], ids[MAX_CONVERSATIONS:], unseen)

    def read(conversation_id: str) -> Read:
        return partial(Events(context, principal).page, conversation_id)

    topic = partial(_topic, context, principal.application_id)
    suffices = context.authorize is None or principal.trusted
    return Feed(context.bus, Sources(principal.application_id, who, memberships, topic, read, context.clock, suffices), after, among)


async def _own_id(context: KitContext, principal: Principal) -> str:
    if principal.user_name is None:
        raise ConfigurationError("Whose feed? Give a user's id: the application itself has none.")
    return (await context.caller(principal)).id


def _check_outside(context: KitContext) -> None:
    if context.announce is not None:
        raise ConfigurationError("Nothing arrives inside a transaction: subscribe with the kit itself, not with what kit.using gives.")


def _topic(context: KitContext, application_id: str, conversation_id: str) -> Topic:
    return Topic(application_id, conversation_id, partial(Events(context, Principal(application_id, trusted=True)).page, conversation_id))


def _membership(rows: list[tuple[Conversation, Member]]) -> Membership:
    conversation, members = rows[0][0], [member for _, member in rows]
    return Membership(
        conversation.id,
        frozenset(member.id for member in members),
        any(member.state is MemberState.JOINED for member in members),
        min(member.since for member in members),
        max(conversation.sequence_number for conversation, _ in rows),
    )
