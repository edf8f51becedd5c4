"""Signals on their way through the kit: streams hear of them first, and everybody else as before."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from conversation_kit.http.live.shutdown import ShutdownWatch


@pytest.fixture
def notes() -> Iterator[list[str]]:
    """What happens, with a host that handles SIGTERM."""
    notes: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: notes.append("host"))
    yield notes
    signal.signal(signal.SIGTERM, before)


def test_streams_hear_of_a_signal_before_the_host_does(notes: list[str]) -> None:
    signals = ShutdownWatch(lambda: notes.append("streams"))
    signals.watch()
    signals.watch()
    signal.raise_signal(signal.SIGTERM)
    assert notes == ["streams", "host"]
    signals.unwatch()
    signal.raise_signal(signal.SIGTERM)
    assert notes == ["streams", "host", "host"]


def test_who_takes_a_signal_later_keeps_it(notes: list[str]) -> None:
    signals = ShutdownWatch(lambda: notes.append("streams"))
    signals.watch()
    kits = signal.getsignal(signal.SIGTERM)
    assert callable(kits)

    def later(number: int, frame: Any) -> None:
        notes.append("later")
        kits(number, frame)

    signal.signal(signal.SIGTERM, later)
    signals.unwatch()
    signals.watch()
    signal.raise_signal(signal.SIGTERM)
    assert notes == ["later", "streams", "host"]
    signal.signal(signal.SIGTERM, kits)
    signals.unwatch()


def test_signals_are_left_alone_where_that_is_wanted_or_they_are_not_the_threads(notes: list[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    ShutdownWatch(lambda: None, enabled=False).watch()
    signals = ShutdownWatch(lambda: None)
    for method in (signals.watch, signals.unwatch):
        thread = threading.Thread(target=method)
        thread.start()
        thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_process_that_nobody_keeps_from_it_ends_by_the_signal() -> None:
    program = """
import signal
from conversation_kit.http.live.shutdown import ShutdownWatch
signals = ShutdownWatch(lambda: print("streams", flush=True))
signals.watch()
signal.raise_signal(signal.SIGTERM)
print("still here")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "streams\n")
