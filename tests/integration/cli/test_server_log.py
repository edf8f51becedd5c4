"""What is kept out of uvicorn's log."""

from __future__ import annotations

import logging

import pytest

from conversation_kit.cli.server_log import ServerLog


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    logger = logging.Logger("uvicorn.error")
    logger.addHandler(caplog.handler)
    logger.addFilter(ServerLog())
    return logger


def test_handshakes_are_not_written(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    log.info('%s - "WebSocket %s" [accepted]', "127.0.0.1:1", "/beta/conversations/CON-1/events?ticket=secret")
    log.info('%s - "WebSocket %s" %d', "127.0.0.1:1", "/beta/conversations/CON-1/events?ticket=secret", 401)
    log.error("ASGI callable returned without completing handshake.")
    assert caplog.text == ""


def test_no_ticket_is_written_whatever_a_line_looks_like(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    log.warning("cannot serve %r now", "/events?after=1&ticket=sec-ret_&x=1")
    log.warning("ticket=secret")
    assert caplog.messages == ["cannot serve '/events?after=1&ticket=...&x=1' now", "ticket=..."]


def test_what_strangers_cause_is_written_once_a_minute(
    log: logging.Logger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now in (0.0, 1.0, 59.0, 60.0, 61.0):
        monkeypatch.setattr("time.monotonic", lambda now=now: now)
        log.warning("Invalid HTTP request received.")
    assert len(caplog.messages) == 2
    log.warning("Unsupported upgrade request.")
    log.error("%s went wrong", "something")
    log.error("%s went wrong", "something")
    assert caplog.messages[2:] == ["Unsupported upgrade request.", "something went wrong", "something went wrong"]
