"""Names of users in credentials."""

from __future__ import annotations

from conversation_kit.domain.errors import InvalidInput, Unauthenticated
from conversation_kit.domain.values.checks import check_text


def checked_name(name: str) -> str:
    """Return ``name``. Raises ``Unauthenticated`` for what no user can be named."""
    try:
        return check_text("name", name)
    except InvalidInput as error:
        raise Unauthenticated(f"The user's name {error.fields['name']}.") from error
