"""Users who are watched over, because somebody listens with their rights."""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import nsmallest
from operator import attrgetter

AT_ONCE = 16
"""For how many users their watchers are told to look within a tick at most: where there are more of them it is less often."""


class Watched:
    """A user, when their watchers were last told to look, and who these are."""

    __slots__ = ("told", "watchers")

    def __init__(self) -> None:
        self.told = time.monotonic()
        self.watchers: dict[Callable[[], None], None] = {}

    def tell(self) -> None:
        """Let them look."""
        self.told = time.monotonic()
        for watcher in self.watchers:
            watcher()


class UserWatchers:
    """Watchers of users in one event loop. Those of users of whom nothing is announced are looked after every ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watched: dict[tuple[str, str], Watched] = {}

    def __bool__(self) -> bool:
        return bool(self._watched)

    def watch(self, application_id: str, user_id: str, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` whenever something about the user may be another than before; it may be for nothing."""
        self._watched.setdefault((application_id, user_id), Watched()).watchers[watcher] = None

    def unwatch(self, application_id: str, user_id: str, watcher: Callable[[], None]) -> None:
        """Undo ``watch``."""
        watched = self._watched[application_id, user_id]
        del watched.watchers[watcher]
        if not watched.watchers:
            del self._watched[application_id, user_id]

    def tell(self, application_id: str, user_id: str) -> None:
        """Let those who watch this user look."""
        watched = self._watched.get((application_id, user_id))
        if watched is not None:
            watched.tell()

    def look_after(self, now: float) -> None:
        """Let those look who have not been told to for too long."""
        overdue = [watched for watched in self._watched.values() if now - watched.told >= self._seconds]
        for watched in nsmallest(AT_ONCE, overdue, key=attrgetter("told")):
            watched.tell()
