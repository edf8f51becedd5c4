"""Bodies of requests: the common part of their shapes, and what is no JSON in any of them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

from conversation_kit.domain.errors import InvalidInput


class Body(BaseModel):
    """Common part of the shapes of bodies."""

    model_config = ConfigDict(strict=True, extra="ignore")

    @classmethod
    def picked(cls, raw: bytes) -> dict[str, Any]:
        """Return the top-level fields of a JSON text that this shape reads, unchecked; none of what is no object."""
        try:
            fields = from_json(raw or b"{}", allow_inf_nan=False)
        except ValueError:
            return {}
        names = {field.alias or name for name, field in cls.model_fields.items()}
        return {name: value for name, value in fields.items() if name in names} if isinstance(fields, dict) else {}

    def given(self) -> dict[str, Any]:
        """Return the fields that the request has, ``null`` ones too."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def check_numbers(raw: bytes | str) -> None:
    """Raise ``InvalidInput`` for a text with ``NaN`` or ``Infinity`` outside strings: no JSON, also where nobody reads it."""
    try:
        from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidInput({"body": f"is not JSON: {error}"}) from error
