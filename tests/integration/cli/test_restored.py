"""``conversation-kit restored``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from conversation_kit.cli.main import main
from conversation_kit_sql import SQLStorage
from tests.support.databases import SQL, fresh


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh(request.param, tmp_path) as url:
        yield url


def epoch_of(url: str) -> str:
    async def read() -> str:
        storage = SQLStorage(url)
        await storage.open()
        try:
            return await storage.epoch()
        finally:
            await storage.close()

    return anyio.run(read)


def test_each_time_that_it_runs_the_log_is_another_one(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    epochs = [epoch_of(url)]
    for _ in range(2):
        main(["restored", "--storage", url])
        epochs.append(epoch_of(url))
        assert f"of epoch {epochs[-1]}:" in capsys.readouterr().out
    assert len(set(epochs)) == 3


def test_a_storage_that_cannot_be_opened_is_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["restored", "--storage", f"sqlite:///{tmp_path / 'missing' / 'chat.db'}"])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
