"""Two kinds of large tables: a log that is a thousand times as long as others, and very many conversations."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Protocol

from benchmarks.bulk import Rows, room, user_id, user_name
from benchmarks.goals import Goal
from benchmarks.loaders import Loader
from benchmarks.rooms import Room
from benchmarks.subjects import Subject
from benchmarks.wire import Requests

SHORT = 1_000
GOAL = 0.95
CHUNK = 10_000
"""Number of conversations that are built in one transaction."""

SAMPLE = 20_000
"""Number of conversations that are asked for, by at most ``SAMPLE_USERS`` users: a token takes a while to sign."""

SAMPLE_USERS = 100


class Grown(Protocol):
    """Content of the tables, and the requests for it."""

    @property
    def label(self) -> str:
        """Amount of the content, in words."""
        ...

    @property
    def written(self) -> Room:
        """A conversation that is written to whatever the number of clients."""
        ...

    def build(self, loader: Loader, rows: Rows) -> None:
        """Load what is not there yet."""
        ...

    def subjects(self, requests: Requests, server: str) -> Iterator[Subject]:
        """Yield the requests that are measured on this server."""
        ...

    def goals(self, server: str, clients: int) -> Iterator[Goal]:
        """Yield the goals for them."""
        ...


class Logs:
    """One long log among short ones.

    An append makes a short log longer, so each round appends to another one; reads are of one that nobody appends to. The long one's
    key lies in the middle: an index is quicker at its end.
    """

    def __init__(self, events: int, rounds: int) -> None:
        self.events = events
        self.short = min(SHORT, events)
        self.long_number = (rounds + 1) // 2
        self.short_numbers = [number for number in range(rounds + 2) if number != self.long_number]

    @property
    def label(self) -> str:
        """Amount of the content, in words."""
        return f"a log of {self.events:,} events and {len(self.short_numbers)} of {self.short:,}"

    @property
    def written(self) -> Room:
        """The long log."""
        return room(self.long_number, (0, 1))

    def build(self, loader: Loader, rows: Rows) -> None:
        """Load them."""
        loader_rows = [(number, (0, 1), self.short) for number in self.short_numbers]
        rows.load_users(loader, 2)
        rows.load_conversations(loader, sorted([*loader_rows, (self.long_number, (0, 1), self.events)]))
        loader.commit()

    def subjects(self, requests: Requests, server: str) -> Iterator[Subject]:
        """Yield the same requests of a short log and of the long one."""
        *written, read = [room(number, (0, 1)) for number in self.short_numbers]
        long = self.written
        what = "POST event"
        for size, rooms in ((self.short, written), (self.events, [long])):
            posts = [[requests.post(some, 0), requests.post(some, 1)] for some in rooms]
            yield Subject(_named(what, server, size), server, 201, posts, _named(what, server, self.short), by_round=True)
        for what, query in (
            ("GET last 100", "?order=desc&page_size=100"),
            ("GET 100 by record_index", "?page_size=100&record_index={deep}"),
            ("GET 100 by start_id", "?page_size=100&start_id={deep}"),
        ):
            for size, where in ((self.short, read), (self.events, long)):
                get = requests.events(where, query.format(deep=size // 2))
                yield Subject(_named(what, server, size), server, 200, [[get]], _named(what, server, self.short))

    def goals(self, server: str, clients: int) -> Iterator[Goal]:
        """Yield the goals: the long log is as quick as a short one."""
        for what in ("POST event", "GET last 100", "GET 100 by record_index", "GET 100 by start_id"):
            yield Goal(_named(what, server, self.events), _named(what, server, self.short), clients, least=GOAL)


class Crowd:
    """Very many conversations of ``per`` events each, with two members each, whose users are in two hundred of them."""

    def __init__(self, conversations: int, per: int) -> None:
        self.conversations = conversations
        self.per = per
        self.users = max(2, conversations // 100)

    @property
    def label(self) -> str:
        """Amount of the content, in words."""
        return f"{self.conversations * self.per:,} events in {self.conversations:,} conversations of {self.users:,} users"

    @property
    def written(self) -> Room:
        """The first of the sample."""
        return self._sample()[0]

    def build(self, loader: Loader, rows: Rows) -> None:
        """Load them, from where an earlier run has stopped."""
        done = loader.value(f"SELECT count(*) FROM {rows.tables.conversation.name}")
        if done == 0:
            rows.load_users(loader, self.users)
        for first in range(done, self.conversations, CHUNK):
            last = min(first + CHUNK, self.conversations)
            rows.load_conversations(loader, [(number, self._members(number), self.per) for number in range(first, last)])
            loader.commit()

    def subjects(self, requests: Requests, server: str) -> Iterator[Subject]:
        """Yield requests to conversations at random."""
        rooms = self._sample()
        users = range(min(self.users, SAMPLE_USERS))
        for status, what, asked in (
            (201, "POST event", [requests.post(some) for some in rooms]),
            (200, "GET last 100", [requests.events(some) for some in rooms]),
            (200, "GET conversation", [requests.get(f"/conversations/{some.id}", some.members[0][0]) for some in rooms]),
            (200, "GET user's conversations", [requests.get(f"/users/{user_id(n)}/conversations", user_name(n)) for n in users]),
        ):
            parts = min(64, len(asked))
            yield Subject(f"{what}, {server}", server, status, [asked[part::parts] for part in range(parts)])

    def goals(self, server: str, clients: int) -> Iterator[Goal]:
        """Yield no goals: there is nothing of another size beside it."""
        yield from ()

    def _members(self, number: int) -> tuple[int, int]:
        one = number % self.users
        return one, (one + 1 + number // self.users % (self.users - 1)) % self.users

    def _sample(self) -> list[Room]:
        """Return conversations at random of which one of few users is the first member."""
        random = Random(1)
        numbers = (random.randrange(self.conversations) for _ in range(SAMPLE))
        few = [number - number % self.users + number % self.users % SAMPLE_USERS for number in numbers]
        return [room(number, self._members(number)) for number in few if number < self.conversations]


def _named(what: str, server: str, events: int) -> str:
    return f"{what}, {server}, {events:,} events"
