"""Moments: the outside world as a decision sees it, which is the time and new ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

from conversation_kit.domain.values import ids

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Moment:
    """Instant at which one command is carried out, and source of the ids that are new with it.

    Ids are made when they are first asked for, and stay: a decision that is called again with the same moment gets the same ones.
    """

    now: datetime
    new_id: Callable[[str], str] = ids.new_id
    # Made with the first id: a message, which is the most frequent command, needs none.
    _made: dict[object, object] | None = None

    def id(self, prefix: str, owner: str = "") -> str:
        """Return the new id with this prefix; ``owner`` tells those of one prefix apart."""
        return self._same(("id", prefix, owner), lambda: self.new_id(prefix))

    def uuid(self) -> UUID:
        """Return the new time-ordered UUID, for what has an id without a prefix."""
        return self._same("uuid", ids.uuid7)

    def secret(self) -> str:
        """Return the new UUID that nobody can guess."""
        return self._same("secret", lambda: str(uuid4()))

    def _same(self, name: object, make: Callable[[], T]) -> T:
        made = self._made
        if made is None:
            made = self._made = {}
        if name not in made:
            made[name] = make()
        return made[name]  # type: ignore[return-value]
