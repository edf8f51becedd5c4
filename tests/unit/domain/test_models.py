"""What is made of a noun without its constructor."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import pytest

from conversation_kit.domain.drafts import at_sequence
from conversation_kit.domain.models import Conversation


def test_a_conversation_at_its_next_event_is_otherwise_the_same_and_as_frozen() -> None:
    before = Conversation("app", "CON-1", "room", datetime(2026, 1, 1, tzinfo=UTC), properties={"ttl": 60}, sequence_number=4)
    after = at_sequence(before, 5, 3)
    assert after == replace(before, sequence_number=5, messages=3)
    assert before.sequence_number == 4
    assert at_sequence(after, 6, 3) == replace(after, sequence_number=6)
    with pytest.raises(FrozenInstanceError):
        after.sequence_number = 7  # type: ignore[misc]
