"""Listening to all conversations of one user."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import anyio

from conversation_kit.domain.errors import HookFailed, RequestError, StorageUnavailable, StreamEnded
from conversation_kit.domain.events import Event
from conversation_kit.domain.reading import EventRange
from conversation_kit.domain.values.epochs import FIRST_EPOCH
from conversation_kit.live.buffer import Buffer
from conversation_kit.live.bus import Bus
from conversation_kit.live.cursors import BEGINNING, Cursor, invalid_cursor, mark, positions
from conversation_kit.live.log_reader import RETRY_SECONDS, STALE_SECONDS, LogReader
from conversation_kit.live.memberships import Membership, Memberships, Sources
from conversation_kit.live.topics import Published

REMOVED = "conversation:removed"
"""The type of what a feed gives out, without an id, when there is no more to come of a conversation."""

NO_ROOM: dict[str, object] = {"code": "stream:error:left-out", "description": "There are more conversations than one feed follows."}

LEFT_OUT = "conversation:left-out"
"""The type of what a feed gives out, without an id, when there are more conversations than it follows, or others than before."""


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


@dataclass(slots=True, eq=False)
class _Place:
    """One conversation in a feed. ``is_open`` is false once its log could not be read, until the memberships are others."""

    reader: LogReader
    membership: Membership
    is_open: bool = True


class Feed(Buffer[Arrival]):
    """The events of all conversations that a user is joined in, and the invitations to others: ``async with`` it, ``async for`` it.

    Of each conversation every event comes once and in the order of the ids, from the one on with which the membership began; of one that
    the user is invited to, only ``member:invited`` until they join. ``cursor`` goes on after what the loop has given out last; ``after``
    takes such a cursor, ``"0"`` for everything, ``None`` for what comes from now on. When a conversation is left or gone there is an event
    of type ``conversation:removed``, without an id, whose ``conversation_id`` is empty for those that went while nobody listened. Where
    there are more conversations than a feed can follow, ``conversation:left-out`` names others; ``among`` asks for some by id. Entering
    raises what ``sources`` raise, and ``invalid_cursor``. Otherwise it is as with ``Subscription``.
    """

    def __init__(self, bus: Bus, sources: Sources, after: str | None, among: Sequence[str] | None = None) -> None:
        super().__init__(bus)
        self.user_id: str
        self.cursor = ""
        self._sources = sources
        self._after = after
        self._among = among
        self._left_out: tuple[int, Sequence[str]] = (0, ())
        self._places: dict[str, _Place] = {}
        self._behind: OrderedDict[_Place, None] = OrderedDict()
        self._is_stale = False
        self._cursor: Cursor
        self._is_watching = False

    async def _begin(self) -> None:
        application_id = self._sources.application_id
        self.user_id = user_id = await self._sources.who()
        self._cursor = Cursor(application_id, user_id, self._epoch)
        try:
            known = self._known(user_id)
        except StreamEnded as end:
            await self._sources.memberships(user_id)  # who may not read them is told that instead
            self.cursor = self._cursor.text
            self.end(end)
            return
        self._dispatcher.memberships.watch(application_id, user_id, self._look_again)
        self._is_watching = True
        for membership in (await self._sources.memberships(user_id)).followed:
            self._enter(membership)
        # Once more, now that nothing that is published since can be missed.
        found = await self._sources.memberships(user_id)
        memberships = {membership.conversation_id: membership for membership in found.followed}
        for gone in self._places.keys() - memberships.keys():
            self._remove(gone)
        for membership in memberships.values():
            self._place_at_start(membership, known)
        if known is not None:
            asked = known.keys() if self._among is None else known.keys() & {mark(id) for id in self._among}
            if lost := len(asked - {mark(id) for id in (*memberships, *found.left_out)}):
                self._tell_of_removal("", {"count": lost})
        self._tell_of_left_out(found)
        self.cursor = self._cursor.text

    @property
    def _epoch(self) -> str:
        return self.epoch or FIRST_EPOCH

    def _known(self, user_id: str) -> Mapping[bytes, int] | None:
        if self._after is None:
            return None
        if not isinstance(self._after, str):
            raise invalid_cursor(self._after)
        return {} if self._after == BEGINNING else positions(self._after, self._sources.application_id, user_id, self._epoch)

    def _place_at_start(self, membership: Membership, known: Mapping[bytes, int] | None) -> None:
        is_new = membership.conversation_id not in self._places
        place = self._places.get(membership.conversation_id) or self._enter(membership)
        place.membership = membership
        begin = max(membership.since - 1, 0)
        if known is None:
            position = membership.last if membership.is_joined else membership.since
        else:
            position = known.get(mark(membership.conversation_id), begin)
            if not membership.is_joined:
                position = max(position, begin)
            if position > membership.last:
                raise invalid_cursor(self._after)
        self._set(place, position + 1)
        if self._sources.membership_suffices and membership.is_joined and position == membership.last and not is_new:
            place.reader.follow()
        self._check(place)

    def _enter(self, membership: Membership) -> _Place:
        sources, id = self._sources, membership.conversation_id
        reader = LogReader(sources.read(id), self)
        reader.user_id = self.user_id
        reader.topic = self._dispatcher.follow(lambda: sources.topic(id), reader)
        place = self._places[id] = _Place(reader, membership)
        return place

    def _remove(self, conversation_id: str) -> _Place:
        place = self._places.pop(conversation_id)
        self._dispatcher.unfollow(place.reader.topic, place.reader)
        self._cursor.drop(conversation_id)
        return place

    def _leave(self) -> None:
        for conversation_id in tuple(self._places):
            self._remove(conversation_id)
        if self._is_watching:
            self._dispatcher.memberships.unwatch(self._sources.application_id, self.user_id, self._look_again)

    def _set(self, place: _Place, next: int) -> None:
        place.reader.next = next
        self._cursor.move(place.membership.conversation_id, next - 1)

    def _check(self, place: _Place) -> None:
        """See to it that what is to be read of a conversation will be read."""
        if place.is_open and not place.reader.is_following:
            membership = place.membership
            if membership.is_joined or place.reader.next <= membership.since:
                self._behind[place] = None

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
        place, _ = self._behind.popitem(last=False)
        if self._places.get(place.membership.conversation_id) is not place:
            return
        try:
            if place.membership.is_joined:
                await place.reader.read_on()
            else:
                await self._read_invitation(place)
        finally:
            # Whoever waits for it may have given up.
            self._check(place)

    async def _read_invitation(self, place: _Place) -> None:
        """Read the invitation of an invited user, who may know of nothing else in the conversation."""
        since = place.membership.since
        try:
            page = await place.reader.topic.read(EventRange(size=1, start_id=since, end_id=since))
        except RequestError as error:
            place.reader.end(error)
            return
        except (StorageUnavailable, HookFailed):
            await anyio.sleep(RETRY_SECONDS)
            return
        if not page.ids:
            # Not in sight yet, as in ``LogReader.read_on``.
            await anyio.sleep(STALE_SECONDS)
            return
        place.reader.fill(page)
        self._set(place, since + 1)

    async def _look(self) -> None:
        """Look at what the user's conversations are now."""
        self._is_stale = False
        try:
            found = await self._sources.memberships(self.user_id)
        except RequestError as error:
            self.end(error)
            return
        except (StorageUnavailable, HookFailed):
            self._is_stale = True
            await anyio.sleep(RETRY_SECONDS)
            return
        except BaseException:
            self._is_stale = True
            raise
        memberships = {membership.conversation_id: membership for membership in found.followed}
        for gone in self._places.keys() - memberships.keys():
            await self._close(gone, NO_ROOM if gone in found.left_out else {})
        for id, membership in memberships.items():
            place = self._places.get(id)
            if place is None:
                self._set(self._enter(membership), max(membership.since, 1))
            else:
                self._change(place, membership)
            self._check(self._places[id])
        self._tell_of_left_out(found)

    async def _close(self, conversation_id: str, why: dict[str, object]) -> None:
        """There is no more to come of this conversation, but what is there up to where the user left it."""
        reader = self._places[conversation_id].reader
        if reader.is_following:
            await self._dispatcher.read(reader.topic)
        if self._remove(conversation_id).is_open:
            self._tell_of_removal(conversation_id, why)

    def _change(self, place: _Place, membership: Membership) -> None:
        if place.membership.members != membership.members:
            place.is_open = True
        if membership.is_joined and not place.membership.members.isdisjoint(membership.members):
            # The membership that came first may have ended, but they have been there all along.
            membership = replace(membership, since=place.membership.since)
        place.membership = membership
        if not membership.is_joined or membership.since > place.reader.next:
            place.reader.is_following = False
        if membership.since > place.reader.next:
            self._set(place, membership.since)

    def on_live(self, reader: LogReader, item: Published) -> None:
        """See ``LogListener.on_live``."""
        arrival = self._arrival(item)
        if self._waiting or self._aside.items or not self._write(arrival):
            self._put(arrival)

    def on_deferred(self, reader: LogReader, item: Published) -> None:
        """See ``LogListener.on_deferred``."""
        place = self._places.get(reader.topic.conversation_id)
        if place is not None and place.is_open and place.membership.is_joined:
            self._set_aside(item)

    def _from_aside(self, item: Published) -> Arrival | None:
        place = self._places.get(item.event.conversation_id)
        return self._arrival(item) if place is not None and place.reader.is_following else None

    def on_backlog(self, reader: LogReader, item: Published) -> None:
        """See ``LogListener.on_backlog``."""
        self._waiting.append(self._arrival(item))

    def on_behind(self, reader: LogReader) -> None:
        """See ``LogListener.on_behind``: they have left a conversation, maybe over one of several channels."""
        place = self._places.get(reader.topic.conversation_id)
        if place is not None:
            self._check(place)
            self._look_again()

    def on_end(self, reader: LogReader, error: StreamEnded | RequestError) -> None:
        """See ``LogListener.on_end``: it is one conversation that has ended and not the feed."""
        conversation_id = reader.topic.conversation_id
        place = self._places.get(conversation_id)
        if place is not None and place.is_open:
            place.is_open = False
            self._tell_of_removal(conversation_id, {"code": error.code, "description": error.description})

    def _arrival(self, item: Published) -> Arrival:
        event = item.event
        if event.id is not None:
            self._cursor.move(event.conversation_id, event.id)
        return Arrival(item, self._cursor.text)

    def _tell_of_removal(self, conversation_id: str, body: dict[str, object]) -> None:
        self._tell(REMOVED, conversation_id, body)

    def _tell_of_left_out(self, found: Memberships) -> None:
        left_out = len(found.left_out) + found.unseen, tuple(found.left_out)
        if left_out != self._left_out:
            self._left_out = left_out
            self._tell(LEFT_OUT, "", {"count": left_out[0], "conversation_ids": list(found.left_out)})

    def _tell(self, type: str, conversation_id: str, body: dict[str, object]) -> None:
        event = Event.compose(self._sources.application_id, conversation_id, None, type=type, body=body, timestamp=self._sources.clock())
        self._put(Arrival(Published(event), self._cursor.text))

    def _put_back(self, items: Sequence[Arrival]) -> None:
        for item in reversed(items):
            event = item.event
            place = self._places.get(event.conversation_id)
            if event.id is not None and place is not None:
                place.reader.is_following = False
                self._set(place, event.id)
                self._check(place)
        cursor = self._cursor.text
        self._waiting = [Arrival(item.published, cursor) for item in items if item.event.type in (REMOVED, LEFT_OUT)]
        self._wake.set()

    def _taken(self, item: Arrival) -> None:
        self.cursor = item.cursor
