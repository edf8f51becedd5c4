from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def no_tracebacks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What is foreseen is told in a sentence."""
    yield
    for when in ("setup", "call"):
        assert [record for record in caplog.get_records(when) if record.exc_info] == []
