"""Values that nobody changes, and that are quick to make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def immutable(cls: type[T]) -> type[T]:
    """Make a dataclass with slots that type checkers hold for frozen.

    For what is made with every message: assigning to attributes that really are frozen takes ten times as long.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
