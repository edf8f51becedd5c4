"""Who acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


class ACL(Protocol):
    """Which paths and methods a token is good for (SEMANTICS section 5)."""

    def permits(self, method: str, paths: Sequence[str], fields: Mapping[str, Any]) -> bool:
        """Whether one of ``paths`` may be called; ``fields`` are the query parameters and top-level body fields."""
        ...

    @property
    def reads_fields(self) -> bool:
        """Whether the answer depends on ``fields``."""
        ...


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts in which application.

    ``user_name`` ``None`` is the application itself, the admin. ``trusted`` marks the host's own code, which neither the
    default policy nor an ``authorize`` callable restricts. ``display_name`` and ``create`` are for a user to be made on first sight.
    ``expires_at`` is when the credentials end.
    """

    application_id: str
    user_name: str | None = None
    trusted: bool = False
    acl: ACL | None = field(default=None, compare=False)
    expires_at: datetime | None = None
    create: bool = False
    display_name: str | None = None
    image_url: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether this is the application itself."""
        return self.user_name is None
