"""The authenticator port: telling who is calling."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any, Protocol, TypeAlias

from conversation_kit.domain.principals import Principal

ASGIScope: TypeAlias = MutableMapping[str, Any]


class Authenticator(Protocol):
    """Authenticator, which tells who is calling."""

    @property
    def applications(self) -> Sequence[str]:
        """The ids of the applications it can vouch for. The only one, if there is one, is the kit's own default."""
        ...

    async def authenticate(self, scope: ASGIScope) -> Principal:
        """Return the caller of an ASGI request. Raises ``Unauthenticated``."""
        ...
