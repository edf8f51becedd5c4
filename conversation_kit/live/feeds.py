"""Listening to all conversations of one user."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import anyio

from conversation_kit.domain.errors import HookFailed, RequestError, StorageUnavailable, StreamEnded
from conversation_kit.domain.events import Event
from conversation_kit.domain.reading import EventRange
from conversation_kit.live.cursors import BEGINNING, Cursor, invalid_cursor, mark, positions
from conversation_kit.live.followers import RETRY_SECONDS, Follower
from conversation_kit.live.inboxes import Inbox
from conversation_kit.live.registry import Live
from conversation_kit.live.topics import Published, Read, Topic

REMOVED = "conversation:removed"
"""The type of what a feed gives out, without an id, when there is no more to come of a conversation."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A user's invited and joined memberships of one conversation, taken together.

    ``members`` are their ids, ``since`` is the id of the event that the first of them began with, ``last`` that of the conversation's last
    event.
    """

    conversation_id: str
    members: frozenset[str]
    is_joined: bool
    since: int
    last: int


@dataclass(frozen=True, slots=True)
class Sources:
    """What a feed is made from, as the services give it.

    ``who`` tells the user's id, ``standings`` their conversations; both raise what the caller may not do. ``topic`` makes a conversation's
    topic, ``read`` reads its log with the rights of the caller.
    """

    application_id: str
    who: Callable[[], Awaitable[str]]
    standings: Callable[[str], Awaitable[Sequence[Standing]]]
    topic: Callable[[str], Topic]
    read: Callable[[str], Read]
    clock: Callable[[], datetime]


class Arrival:
    """An event of a feed, with the cursor that goes on after it."""

    __slots__ = ("cursor", "published")

    def __init__(self, published: Published, cursor: str) -> None:
        self.published = published
        self.cursor = cursor

    @property
    def event(self) -> Event:
        """The event."""
        return self.published.event


@dataclass(slots=True)
class _Place:
    """One conversation in a feed. ``is_open`` is false once its log could not be read, until the memberships are others."""

    follower: Follower
    standing: Standing
    is_open: bool = True


class Feed(Inbox[Arrival]):
    """The events of all conversations that a user is joined in, and the invitations to others: ``async with`` it, ``async for`` it.

    Of each conversation every event comes once and in the order of the ids, from the one on with which the membership began; of one that
    the user is invited to, only ``member:invited`` until they join. ``cursor`` goes on after what the loop has given out last; ``after``
    takes such a cursor, ``"0"`` for everything, ``None`` for what comes from now on. When a conversation is left or gone there is an event
    of type ``conversation:removed``, without an id, whose ``conversation_id`` is empty for those that went while nobody listened. Entering
    raises what ``sources`` raise, and ``invalid_cursor``. Otherwise it is as with ``Subscription``.
    """

    def __init__(self, live: Live, sources: Sources, after: str | None) -> None:
        super().__init__(live)
        self.user_id: str
        self.cursor = ""
        self._sources = sources
        self._after = after
        self._places: dict[str, _Place] = {}
        self._behind: deque[_Place] = deque()
        self._is_stale = False
        self._cursor: Cursor
        self._is_watching = False

    async def _begin(self) -> None:
        application_id = self._sources.application_id
        self.user_id = user_id = await self._sources.who()
        known = self._known(user_id)
        self._cursor = Cursor(application_id, user_id)
        self._circle.watch(application_id, user_id, self._look_again)
        self._is_watching = True
        for standing in await self._sources.standings(user_id):
            self._enter(standing)
        # Once more, now that nothing that is published since can be missed.
        standings = {standing.conversation_id: standing for standing in await self._sources.standings(user_id)}
        for gone in self._places.keys() - standings.keys():
            self._remove(gone)
        for standing in standings.values():
            self._place_at_start(standing, known)
        if known is not None and (lost := len(known.keys() - {mark(id) for id in standings})):
            self._tell_of_removal("", {"count": lost})
        self.cursor = self._cursor.text

    def _known(self, user_id: str) -> Mapping[bytes, int] | None:
        if self._after is None:
            return None
        if not isinstance(self._after, str):
            raise invalid_cursor(self._after)
        return {} if self._after == BEGINNING else positions(self._after, self._sources.application_id, user_id)

    def _place_at_start(self, standing: Standing, known: Mapping[bytes, int] | None) -> None:
        is_new = standing.conversation_id not in self._places
        place = self._places.get(standing.conversation_id) or self._enter(standing)
        place.standing = standing
        begin = max(standing.since - 1, 0)
        if known is None:
            position = standing.last if standing.is_joined else standing.since
        else:
            position = max(known.get(mark(standing.conversation_id), begin), begin)
            if position > standing.last:
                raise invalid_cursor(self._after)
        self._set(place, position + 1)
        if standing.is_joined and position == standing.last and not is_new:
            place.follower.follow()
        self._check(place)

    def _enter(self, standing: Standing) -> _Place:
        sources, id = self._sources, standing.conversation_id
        follower = Follower(sources.read(id), self)
        follower.user_id = self.user_id
        follower.topic = self._circle.follow(lambda: sources.topic(id), follower)
        place = self._places[id] = _Place(follower, standing)
        return place

    def _remove(self, conversation_id: str) -> _Place:
        place = self._places.pop(conversation_id)
        self._circle.unfollow(place.follower.topic, place.follower)
        self._cursor.drop(conversation_id)
        return place

    def _leave(self) -> None:
        for conversation_id in tuple(self._places):
            self._remove(conversation_id)
        if self._is_watching:
            self._circle.unwatch(self._sources.application_id, self.user_id, self._look_again)

    def _set(self, place: _Place, next: int) -> None:
        place.follower.next = next
        self._cursor.move(place.standing.conversation_id, next - 1)

    def _check(self, place: _Place) -> None:
        """See to it that what is to be read of a conversation will be read."""
        if place.is_open and not place.follower.is_following and place not in self._behind:
            standing = place.standing
            if standing.is_joined or place.follower.next <= standing.since:
                self._behind.append(place)

    def _look_again(self) -> None:
        self._is_stale = True
        self._wake.set()

    @property
    def _is_behind(self) -> bool:
        return self._is_stale or bool(self._behind)

    async def _read_on(self) -> None:
        if self._is_stale:
            await self._look()
            return
        place = self._behind.popleft()
        if self._places.get(place.standing.conversation_id) is not place:
            return
        if place.standing.is_joined:
            await place.follower.read_on()
        else:
            await self._read_invitation(place)
        self._check(place)

    async def _read_invitation(self, place: _Place) -> None:
        """Who is invited may know that, and nothing else of the conversation."""
        since = place.standing.since
        try:
            page = await place.follower.topic.read(EventRange(size=1, start_id=since, end_id=since))
        except RequestError as error:
            place.follower.end(error)
            return
        except (StorageUnavailable, HookFailed):
            await anyio.sleep(RETRY_SECONDS)
            return
        place.follower.fill(page)
        self._set(place, since + 1)

    async def _look(self) -> None:
        """Look at what the user's conversations are now."""
        self._is_stale = False
        try:
            standings = {standing.conversation_id: standing for standing in await self._sources.standings(self.user_id)}
        except RequestError as error:
            self.end(error)
            return
        except (StorageUnavailable, HookFailed):
            self._is_stale = True
            await anyio.sleep(RETRY_SECONDS)
            return
        for gone in self._places.keys() - standings.keys():
            if self._remove(gone).is_open:
                self._tell_of_removal(gone, {})
        for id, standing in standings.items():
            place = self._places.get(id)
            if place is None:
                self._set(self._enter(standing), max(standing.since, 1))
            else:
                self._change(place, standing)
            self._check(self._places[id])

    def _change(self, place: _Place, standing: Standing) -> None:
        if place.standing.members != standing.members:
            place.is_open = True
        place.standing = standing
        if not standing.is_joined or standing.since > place.follower.next:
            place.follower.is_following = False
        if standing.since > place.follower.next:
            self._set(place, standing.since)

    def arrive(self, follower: Follower, item: Published) -> None:
        """See ``Reader.arrive``."""
        arrival = self._arrival(item)
        if self._waiting or self.write is None or not self.write(arrival):
            self._put(arrival)

    def keep(self, follower: Follower, item: Published) -> None:
        """See ``Reader.keep``."""
        self._waiting.append(self._arrival(item))

    def stray(self, follower: Follower) -> None:
        """See ``Reader.stray``: they have left a conversation, maybe over one of several channels."""
        place = self._places.get(follower.topic.conversation_id)
        if place is not None:
            self._check(place)
            self._look_again()

    def lose(self, follower: Follower, error: StreamEnded | RequestError) -> None:
        """See ``Reader.lose``: it is one conversation that has ended and not the feed."""
        conversation_id = follower.topic.conversation_id
        place = self._places.get(conversation_id)
        if place is not None and place.is_open:
            place.is_open = False
            self._tell_of_removal(conversation_id, {"code": error.code, "description": error.description})
            self._wake.set()

    def _arrival(self, item: Published) -> Arrival:
        event = item.event
        if event.id is not None:
            self._cursor.move(event.conversation_id, event.id)
        return Arrival(item, self._cursor.text)

    def _tell_of_removal(self, conversation_id: str, body: dict[str, object]) -> None:
        event = Event.compose(self._sources.application_id, conversation_id, None, type=REMOVED, body=body, timestamp=self._sources.clock())
        self._waiting.append(Arrival(Published(event), self._cursor.text))

    def _put_back(self, items: Sequence[Arrival]) -> None:
        for item in reversed(items):
            event = item.event
            place = self._places.get(event.conversation_id)
            if event.id is not None and place is not None:
                place.follower.is_following = False
                self._set(place, max(event.id, place.standing.since))
                self._check(place)
        # Their cursors were behind what has been put back now.
        self._waiting = [Arrival(item.published, self._cursor.text) for item in items if item.event.type == REMOVED]
        self._wake.set()

    def _taken(self, item: Arrival) -> None:
        self.cursor = item.cursor
