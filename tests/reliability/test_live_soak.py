"""What live delivery promises, at size: cuts and kills, clients that stop reading, streams that come and go.

``make soak`` makes it large; ``CONVERSATION_KIT_SOAK_SEED`` repeats a run, whose seed is in its output.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests import brokers, databases
from tests.processes import serve
from tests.reliability.listeners import NONE
from tests.reliability.soaking import HEADERS, House, Soak
from tests.world import APP, keys

SEED = int(os.environ.get("CONVERSATION_KIT_SOAK_SEED") or random.randrange(2**32))
EVENTS = int(os.environ.get("CONVERSATION_KIT_SOAK_EVENTS", "400"))
CUTS = int(os.environ.get("CONVERSATION_KIT_SOAK_CUTS", "40"))
KILLS = int(os.environ.get("CONVERSATION_KIT_SOAK_KILLS", "1"))

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def anyio_backend() -> str:
    """Of the test's own clients; what is tested runs in other processes."""
    return "asyncio"


@pytest.mark.parametrize("broker", ["none", *brokers.KINDS])
async def test_cuts_and_kills_lose_nothing_and_double_nothing(broker: str, tmp_path: Path) -> None:
    print(f"CONVERSATION_KIT_SOAK_SEED={SEED}")
    (tmp_path / "public.pem").write_text(keys(APP)[1])
    with databases.fresh("postgresql", tmp_path) as url:
        arguments = ["--application", f"{APP}={tmp_path / 'public.pem'}", "--storage", url]
        if broker != "none":
            arguments += ["--broker", brokers.url_of(broker)]
        soak = Soak(House(lambda: serve(tmp_path, *arguments, workers=2, headers=HEADERS)), EVENTS, CUTS, KILLS, SEED)
        began = time.monotonic()
        faults = await soak.run()
    got = sum(len(log) for listener in soak.listeners for log in listener.got.values())
    print(
        f"{broker}: {soak.acknowledged} acknowledged, {soak.cut} cuts, {soak.house.lives - 1} kills, {len(soak.listeners)} listeners "
        f"with {sum(listener.streams for listener in soak.listeners)} streams got {got} events, "
        f"{sum(listener.slow for listener in soak.listeners)} of the streams ended as too slow: {faults}, {time.monotonic() - began:.0f} s"
    )
    assert faults == NONE
    assert (soak.cut, soak.house.lives) == (CUTS, KILLS + 1)
