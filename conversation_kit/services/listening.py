"""How a principal listens to a conversation: with the rights of getEvents, which every look into the log asks for anew."""

from __future__ import annotations

from functools import partial

from conversation_kit.domain.errors import ConfigurationError, invalid_cursor
from conversation_kit.domain.principals import Principal
from conversation_kit.live.subscriptions import Subscription
from conversation_kit.live.topics import Topic
from conversation_kit.services.core import Core
from conversation_kit.services.events import Events

LARGEST_ID = 2**53


def subscribe(core: Core, principal: Principal, conversation_id: str, after: int | None) -> Subscription:
    """A subscription that nobody has entered yet. Raises ``invalid_cursor``, and ``ConfigurationError`` in a host's transaction."""
    if core.announce is not None:
        raise ConfigurationError("Nothing arrives inside a transaction: subscribe with the kit itself, not with what kit.using gives.")
    if after is not None and (isinstance(after, bool) or not isinstance(after, int) or not 0 <= after <= LARGEST_ID):
        raise invalid_cursor(after)
    application_id = principal.application_id

    def topic() -> Topic:
        return Topic(application_id, conversation_id, partial(Events(core, Principal(application_id, trusted=True)).page, conversation_id))

    async def who() -> str | None:
        return await core.id_of(application_id, principal.user_name) if principal.user_name is not None else None

    return Subscription(core.live, topic, partial(Events(core, principal).page, conversation_id), who, after)
