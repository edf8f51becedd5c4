"""How a principal listens: with the rights of getEvents and getuserConversations, which every look into the storage asks for anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from conversation_kit.domain.errors import ConfigurationError, invalid_cursor
from conversation_kit.domain.models import Conversation, Member, MemberState
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.reading import Page
from conversation_kit.domain.rules import unknown_caller
from conversation_kit.domain.times import now
from conversation_kit.live.circles import Numbers
from conversation_kit.live.feeds import Feed, Sources, Standing
from conversation_kit.live.subscriptions import Subscription
from conversation_kit.live.topics import Read, Topic
from conversation_kit.services.core import Core
from conversation_kit.services.events import Events
from conversation_kit.services.opening import Opening
from conversation_kit.services.users import Users

LARGEST_ID = 2**53
MAX_CONVERSATIONS = 500
"""Of a user's conversations a feed follows so many, those that were made last: its cursor has to fit into a header."""

MAX_MEMBERSHIPS = 2 * MAX_CONVERSATIONS
"""What is looked at for them: a user may be a member over several channels."""


def numbers(opening: Opening) -> Numbers:
    """What tells live streams where there is something new."""

    async def sequence_numbers(application_id: str, conversation_ids: Sequence[str]) -> Mapping[str, int]:
        return await (await opening.storage()).sequence_numbers(application_id, conversation_ids, now())

    return sequence_numbers


def subscribe(core: Core, principal: Principal, conversation_id: str, after: int | None) -> Subscription:
    """A subscription that nobody has entered yet. Raises ``invalid_cursor``, and ``ConfigurationError`` in a host's transaction."""
    _check_outside(core)
    if after is not None and (isinstance(after, bool) or not isinstance(after, int) or not 0 <= after <= LARGEST_ID):
        raise invalid_cursor(after)

    async def who() -> str | None:
        return await core.id_of(principal.application_id, principal.user_name) if principal.user_name is not None else None

    topic = partial(_topic, core, principal.application_id, conversation_id)
    return Subscription(core.live, topic, partial(Events(core, principal).page, conversation_id), who, after)


def feed(
    core: Core, principal: Principal, user_id: str | None, after: str | None, covers: Callable[[str], bool] = lambda conversation_id: True
) -> Feed:
    """A feed that nobody has entered yet, of ``user_id`` or of the principal itself.

    Conversations that ``covers`` denies are left out. Raises ``ConfigurationError`` in a host's transaction.
    """
    _check_outside(core)

    async def who() -> str:
        if user_id is not None:
            return user_id
        if principal.user_name is None:
            raise ConfigurationError("Whose feed? Give a user's id: the application itself has none.")
        own = await core.id_of(principal.application_id, principal.user_name)
        if own is None:
            raise unknown_caller(principal.user_name)
        return own

    async def standings(user_id: str) -> list[Standing]:
        # At one moment, not page by page: a conversation that is missed would be taken for one that was left.
        found = await Users(core, principal).conversations(user_id, Page(MAX_MEMBERSHIPS, descending=True))
        rows: dict[str, list[tuple[Conversation, Member]]] = {}
        for conversation, member in found.items:
            if covers(conversation.id):
                rows.setdefault(conversation.id, []).append((conversation, member))
        return [_standing(memberships) for memberships in rows.values()][:MAX_CONVERSATIONS]

    def read(conversation_id: str) -> Read:
        return partial(Events(core, principal).page, conversation_id)

    topic = partial(_topic, core, principal.application_id)
    suffices = core.authorize is None or principal.trusted
    return Feed(core.live, Sources(principal.application_id, who, standings, topic, read, core.clock, suffices), after)


def _check_outside(core: Core) -> None:
    if core.announce is not None:
        raise ConfigurationError("Nothing arrives inside a transaction: subscribe with the kit itself, not with what kit.using gives.")


def _topic(core: Core, application_id: str, conversation_id: str) -> Topic:
    return Topic(application_id, conversation_id, partial(Events(core, Principal(application_id, trusted=True)).page, conversation_id))


def _standing(memberships: list[tuple[Conversation, Member]]) -> Standing:
    conversation, members = memberships[0][0], [member for _, member in memberships]
    return Standing(
        conversation.id,
        frozenset(member.id for member in members),
        any(member.state is MemberState.JOINED for member in members),
        min(member.since for member in members),
        max(conversation.sequence_number for conversation, _ in memberships),
    )
