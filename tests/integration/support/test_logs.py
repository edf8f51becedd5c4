"""Logging is for each test as it was for the one before."""

from __future__ import annotations

import logging

from litestar import Litestar

from tests.support.logs import kept_logging


def test_a_host_that_sets_up_logging_for_the_process_does_so_until_the_test_is_over() -> None:
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    with kept_logging():
        Litestar([])
        assert root.level == logging.INFO
        assert set(root.handlers) - set(before[1])
    assert (root.level, set(root.handlers) - set(before[1])) == (before[0], set())
