"""The servers that the tests start for themselves."""

from __future__ import annotations

import pytest
from sqlalchemy import URL

from tests.support import databases


def test_a_test_run_starts_one_postgresql_however_often_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def start(stack: object) -> URL:
        started.append(stack)
        return URL.create("postgresql+psycopg", host=f"server-{len(started)}")

    monkeypatch.setattr(databases, "start", start)
    monkeypatch.setattr(databases, "POSTGRES_VARIABLE", "CONVERSATION_KIT_TEST_URL_THAT_NOBODY_SETS")
    assert databases.postgres() == databases.postgres()
    assert len(started) == 1
