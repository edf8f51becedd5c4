"""The five services and live events: of one principal, and as the host's own code gets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from conversation_kit.domain.principals import Principal
from conversation_kit.live.feeds import Feed
from conversation_kit.live.subscriptions import Subscription
from conversation_kit.services.conversations import Conversations
from conversation_kit.services.core import Core
from conversation_kit.services.events import Events
from conversation_kit.services.legs import Legs
from conversation_kit.services.listening import feed, subscribe
from conversation_kit.services.members import Members
from conversation_kit.services.users import Users


@dataclass(slots=True)
class Acting:
    """Everything the API can do, done as one principal."""

    core: Core
    principal: Principal

    @property
    def conversations(self) -> Conversations:
        """Conversations."""
        return Conversations(self.core, self.principal)

    @property
    def users(self) -> Users:
        """Users."""
        return Users(self.core, self.principal)

    @property
    def members(self) -> Members:
        """Members."""
        return Members(self.core, self.principal)

    @property
    def events(self) -> Events:
        """Events."""
        return Events(self.core, self.principal)

    @property
    def legs(self) -> Legs:
        """Legs."""
        return Legs(self.core, self.principal)

    def subscribe(self, conversation_id: str, *, after: int | None = None) -> Subscription:
        """The conversation's events as they come: ``async with`` it, then ``async for`` it.

        With ``after`` it begins behind the event of that id, 0 being before all of them, otherwise with the next one that comes.
        For who may read events: entering raises ``conversation_not_found``, ``Forbidden``, or ``invalid_cursor``. See ``Subscription``.
        """
        return subscribe(self.core, self.principal, conversation_id, after)

    def feed(self, user_id: str | None = None, *, after: str | None = None) -> Feed:
        """The events of all conversations of a user, of oneself if none is named, as they come, and invitations to others.

        ``after`` is the ``cursor`` of an earlier feed of the same user, ``"0"`` for everything since each membership began; otherwise it
        begins with the next event that comes. For admins and the user: entering raises ``user_not_found``, ``Forbidden``, or
        ``InvalidInput`` for a cursor of somebody else or of the future. See ``Feed``.
        """
        return feed(self.core, self.principal, user_id, after)


class Chat:
    """Everything the API can do, for the host's own code: as the application itself, or as one of its users."""

    def __init__(self, core: Core, default_application: Callable[[], str]) -> None:
        self._core = core
        self._default_application = default_application

    def application(self, application_id: str) -> Acting:
        """Everything the API can do, done by the host in this application."""
        return Acting(self._core, Principal(application_id, trusted=True))

    def as_user(self, name: str, *, application_id: str | None = None) -> Acting:
        """Everything the API can do, done as this user: the default policy applies as over HTTP."""
        return Acting(self._core, Principal(application_id or self._default_application(), name))

    @property
    def host(self) -> Acting:
        """The services in the default application, restricted by nobody."""
        return self.application(self._default_application())

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

    def subscribe(self, conversation_id: str, *, after: int | None = None) -> Subscription:
        """Live events of one of the default application's conversations, as ``Acting.subscribe`` has it."""
        return self.host.subscribe(conversation_id, after=after)

    def feed(self, user_id: str, *, after: str | None = None) -> Feed:
        """Live events of all conversations of one of the default application's users, as ``Acting.feed`` has it."""
        return self.host.feed(user_id, after=after)
