"""The five services and live events: of one principal, and as the host's own code gets them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conversation_kit.domain.principals import Principal
from conversation_kit.domain.values.checks import check_ids
from conversation_kit.live.feeds import Feed
from conversation_kit.live.subscriptions import Subscription
from conversation_kit.services.context import KitContext
from conversation_kit.services.conversations import Conversations
from conversation_kit.services.events import Events
from conversation_kit.services.idempotency_keys import IdempotencyKey
from conversation_kit.services.legs import Legs
from conversation_kit.services.members import Members
from conversation_kit.services.streams import feed, subscribe
from conversation_kit.services.users import Users


@dataclass(slots=True)
class Client:
    """Everything the API can do, done as one principal, and maybe under an idempotency key."""

    context: KitContext
    principal: Principal
    key: IdempotencyKey | None = None

    @property
    def conversations(self) -> Conversations:
        """Conversations."""
        return Conversations(self.context, self.principal, self.key)

    @property
    def users(self) -> Users:
        """Users."""
        return Users(self.context, self.principal, self.key)

    @property
    def members(self) -> Members:
        """Members."""
        return Members(self.context, self.principal, self.key)

    @property
    def events(self) -> Events:
        """Events."""
        return Events(self.context, self.principal, self.key)

    @property
    def legs(self) -> Legs:
        """Legs."""
        return Legs(self.context, self.principal, self.key)

    def once(self, idempotency_key: str) -> Client:
        """Return the same for one change under a key: who asks for the change again with the same key gets the same answer, and no more.

        See ``idempotent``. Keys of one caller are separate for each method and each conversation, user or leg. Raises ``InvalidInput``
        for a key that has not 1 to 255 visible ASCII characters.
        """
        return Client(self.context, self.principal, IdempotencyKey(idempotency_key))

    def subscribe(self, conversation_id: str, *, after: int | str | None = None) -> Subscription:
        """Return a subscription to the conversation's events as they come: ``async with`` it, then ``async for`` it.

        With ``after`` it begins behind the event of that id, 0 being before all of them, otherwise with the next one that comes.
        For who may read events: entering raises ``conversation_not_found``, ``Forbidden``, or ``invalid_cursor``. See ``Subscription``.
        """
        return subscribe(self.context, self.principal, conversation_id, after)

    def feed(self, user_id: str | None = None, *, after: str | None = None, conversations: Sequence[str] | None = None) -> Feed:
        """Return a feed of the events of all conversations of a user, of oneself if none is named, and of invitations to others.

        ``after`` is the ``cursor`` of an earlier feed of the same user, ``"0"`` for everything since each membership began; otherwise it
        begins with the next event that comes. A feed follows 500 conversations, joined ones first, and tells of others; ``conversations``
        asks for up to 100 by their ids. For admins and the user: entering raises ``user_not_found``, ``Forbidden``, or
        ``InvalidInput`` for a cursor of somebody else or of the future. See ``Feed``.
        """
        return feed(self.context, self.principal, user_id, after, among=conversations)


class HostClient:
    """Everything the API can do, for the host's own code: as the application itself, or as one of its users."""

    def __init__(self, context: KitContext, default_application: Callable[[], str]) -> None:
        self._context = context
        self._default_application = default_application

    def application(self, application_id: str) -> Client:
        """Return everything the API can do, done by the host in this application."""
        check_ids(application_id=application_id)
        return Client(self._context, Principal(application_id, trusted=True))

    def as_user(self, name: str, *, application_id: str | None = None) -> Client:
        """Return everything the API can do, done as this user: the default policy applies as over HTTP."""
        check_ids(user_name=name, application_id=application_id)
        return Client(self._context, Principal(application_id or self._default_application(), name))

    @property
    def host(self) -> Client:
        """The services in the default application, restricted by nobody."""
        return self.application(self._default_application())

    def once(self, idempotency_key: str) -> Client:
        """Return the services in the default application for one change under a key, as ``Client.once`` does."""
        return self.host.once(idempotency_key)

    @property
    def conversations(self) -> Conversations:
        """Conversations of the default application."""
        return self.host.conversations

    @property
    def users(self) -> Users:
        """Users of the default application."""
        return self.host.users

    @property
    def members(self) -> Members:
        """Members of the default application's conversations."""
        return self.host.members

    @property
    def events(self) -> Events:
        """Events of the default application's conversations."""
        return self.host.events

    @property
    def legs(self) -> Legs:
        """Legs of the default application."""
        return self.host.legs

    def subscribe(self, conversation_id: str, *, after: int | str | None = None) -> Subscription:
        """Subscribe to the events of one of the default application's conversations, as ``Client.subscribe`` does."""
        return self.host.subscribe(conversation_id, after=after)

    def feed(self, user_id: str, *, after: str | None = None, conversations: Sequence[str] | None = None) -> Feed:
        """Follow all conversations of one of the default application's users, as ``Client.feed`` does."""
        return self.host.feed(user_id, after=after, conversations=conversations)
