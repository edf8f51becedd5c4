"""Principals, who call, and actors: principals under the policy that holds for them, as a decision sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit.domain.models import JoinPolicy
from conversation_kit.domain.values.immutable import immutable


class ACL(Protocol):
    """Paths and methods that a token is good for."""

    def permits(self, method: str, paths: Sequence[str], fields: Mapping[str, Any]) -> bool:
        """Tell whether one of ``paths`` may be called; ``fields`` are the query parameters and top-level body fields."""
        ...

    @property
    def reads_fields(self) -> bool:
        """Tell whether the answer depends on ``fields``."""
        ...


@dataclass(frozen=True, slots=True)
class Principal:
    """The one who acts: an application, and a user in it or nobody.

    ``user_name`` ``None`` is the application itself, the admin. ``trusted`` marks the host's own code, which neither the
    default policy nor an ``authorize`` callable restricts. ``display_name`` and ``create`` are for a user to be made on first sight.
    ``expires_at`` is when the credentials end. ``issued_at`` is when they were made, where that decides whether they are still good.
    """

    application_id: str
    user_name: str | None = None
    trusted: bool = False
    acl: ACL | None = field(default=None, compare=False)
    expires_at: datetime | None = None
    create: bool = False
    display_name: str | None = None
    image_url: str | None = None
    issued_at: datetime | None = None

    @property
    def is_admin(self) -> bool:
        """True for the application itself."""
        return self.user_name is None


@dataclass(frozen=True, slots=True)
class InvitationLimits:
    """Limits of unanswered invitations in an application: ``sent`` by one user, and ``received`` by one when a user invites.

    What admins and the host invite is counted and not limited. Raises ``ConfigurationError``.
    """

    sent: int = 200
    received: int = 500

    def __post_init__(self) -> None:
        """Look at the numbers."""
        for name in ("sent", "received"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"InvitationLimits takes a number of at least 1 for {name}.")


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of a kit that decisions depend on.

    ``event_types`` are those that the host adds, ``max_members`` caps the invited and joined members of one conversation, ``join`` says
    who may come in, ``invitation_limits`` how many invitations may wait.
    """

    event_types: Set[str] = frozenset()
    max_members: int = 1000
    join: JoinPolicy = "anyone"
    invitation_limits: InvitationLimits = InvitationLimits()


DEFAULT_POLICY = Policy()


@immutable
class Actor:
    """The one who gives a command: a principal, under a policy.

    ``is_free`` lifts the default policy of who may do what: for admins, and for whom an ``authorize`` callable allows it.
    """

    principal: Principal
    is_free: bool
    policy: Policy = DEFAULT_POLICY

    @property
    def application_id(self) -> str:
        """The application in which everything happens."""
        return self.principal.application_id
