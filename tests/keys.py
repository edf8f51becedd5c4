"""Key pairs, private first, made once a test run because making them is slow. Load with ``pytest_plugins``."""

from __future__ import annotations

import pytest

from conversation_kit.tokens import make_key_pair


@pytest.fixture(scope="session")
def key_pair() -> tuple[str, str]:
    return make_key_pair()


@pytest.fixture(scope="session")
def other_key_pair() -> tuple[str, str]:
    return make_key_pair()
