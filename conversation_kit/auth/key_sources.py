"""Sources of an application's keys: the host's settings, a JSON Web Key Set behind a URL, or a function."""

from __future__ import annotations

import http.client
import json
import logging
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeAlias
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from conversation_kit import forks
from conversation_kit.auth.keys import KeyRing, PublicKeys
from conversation_kit.domain.errors import ConfigurationError, HookFailed
from conversation_kit.hooks.invoking import is_async

logger = logging.getLogger("conversation_kit")

FRESH_SECONDS = 300.0
"""Seconds for which fetched keys are used before they are fetched again: so long at most a key that was taken away is still trusted."""

STALE_SECONDS = 3600.0
"""Seconds for which keys are used when they cannot be fetched again."""

RETRY_SECONDS = 10.0
"""Between two attempts, whatever tokens ask for: failed ones, and those for a ``kid`` that nobody knows."""

FETCH_SECONDS = 5.0
MAX_DOCUMENT = 256 * 1024
"""Bytes of a JSON Web Key Set."""

KeyFunction: TypeAlias = Callable[[], PublicKeys]
Applications: TypeAlias = PublicKeys | KeyFunction
_threads: Final[RunVar[anyio.CapacityLimiter]] = RunVar("conversation_kit_keys")


class KeySource(Protocol):
    """Knows the keys of one application."""

    def wants(self, kid: object, now: float) -> bool:
        """Return whether to ``renew`` the keys before a token with this ``kid`` is checked. ``now`` is monotonic, in seconds."""
        ...

    def renew(self, kid: object) -> None:
        """Fetch the keys anew if that is still wanted. Blocks, for ``FETCH_SECONDS`` or so; what goes wrong is logged."""
        ...

    def ring(self, now: float) -> KeyRing:
        """Return the keys. Raises ``HookFailed`` when they cannot be had."""
        ...

    def fresh_for(self, now: float) -> float:
        """Return for how many seconds what these keys have verified may be taken as verified."""
        ...


class GivenKeys:
    """Keys that stay what they are."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def wants(self, kid: object, now: float) -> bool:
        """See ``KeySource.wants``."""
        return False

    def renew(self, kid: object) -> None:
        """See ``KeySource.renew``."""

    def ring(self, now: float) -> KeyRing:
        """See ``KeySource.ring``."""
        return self._ring

    def fresh_for(self, now: float) -> float:
        """See ``KeySource.fresh_for``."""
        return math.inf


class FetchedKeys:
    """Keys that a function fetches when they are needed, and now and then again.

    One fetch runs at a time. While it does, the old keys serve whom they suffice.
    """

    def __init__(self, application_id: str, fetch: Callable[[], KeyRing]) -> None:
        self._application_id = application_id
        self._fetch = fetch
        self._ring: KeyRing | None = None
        self._fetched = self._tried = -math.inf
        self._busy = forks.lock()

    def wants(self, kid: object, now: float) -> bool:
        """See ``KeySource.wants``."""
        return self._is_due(kid, now) and (self._ring is None or not self._busy.locked())

    def renew(self, kid: object) -> None:
        """See ``KeySource.renew``."""
        if not self._busy.acquire(timeout=FETCH_SECONDS):
            return
        try:
            if not self._is_due(kid, time.monotonic()):
                return  # somebody else has just done it
            try:
                self._ring, self._fetched = self._fetch(), time.monotonic()
            except Exception as error:
                # Not the whole chain: a URL may hold a secret.
                logger.error("the keys of application %r cannot be fetched: %s", self._application_id, _reason(error))
            self._tried = time.monotonic()
        finally:
            self._busy.release()

    def _is_due(self, kid: object, now: float) -> bool:
        if now < self._tried + RETRY_SECONDS:
            return False
        return self._ring is None or now >= self._fetched + FRESH_SECONDS or not self._ring.knows(kid)

    def ring(self, now: float) -> KeyRing:
        """See ``KeySource.ring``."""
        if self._ring is None or now >= self._fetched + FRESH_SECONDS + STALE_SECONDS:
            raise HookFailed("The keys that tokens are checked with cannot be had at present; try again.")
        return self._ring

    def fresh_for(self, now: float) -> float:
        """See ``KeySource.fresh_for``."""
        return max(self._fetched + FRESH_SECONDS - now, RETRY_SECONDS)


async def renew(source: KeySource, kid: object) -> None:
    """Call ``source.renew`` in a worker thread and wait for it no longer than ``FETCH_SECONDS``."""
    limiter = _threads.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(8)
        _threads.set(limiter)
    with anyio.move_on_after(FETCH_SECONDS) as scope:
        await anyio.to_thread.run_sync(source.renew, kid, abandon_on_cancel=True, limiter=limiter)
    if scope.cancelled_caught:
        logger.error("keys are not there after %g seconds", FETCH_SECONDS)


def key_source(application_id: str, keys: Applications) -> KeySource:
    """Return the source of what a host gives as an application's keys. Raises ``ConfigurationError``."""
    if not isinstance(application_id, str) or not application_id:
        raise ConfigurationError(f"An application's id is a string that is not empty, not {application_id!r}.")
    if isinstance(keys, str) and keys.strip().lower().startswith(("https://", "http://")):
        return FetchedKeys(application_id, partial(_fetch, application_id, _checked_url(application_id, keys.strip())))
    if callable(keys):
        if is_async(keys):
            raise ConfigurationError(f"The function that gets the keys of application {application_id!r} must not be async.")
        return FetchedKeys(application_id, partial(_ask, application_id, keys))
    return GivenKeys(KeyRing.of(application_id, keys))


def _ask(application_id: str, function: KeyFunction) -> KeyRing:
    try:
        keys = function()
    except Exception as error:
        logger.exception("the function that gets the keys of application %r raised", application_id)
        raise ConfigurationError(f"the function that gets them raised {type(error).__name__}") from error
    return KeyRing.of(application_id, keys)


def _checked_url(application_id: str, url: str) -> str:
    """Return the URL of a key set: over https, or on this machine, for who can change the answer can make tokens."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    local = host in ("localhost", "127.0.0.1", "::1")
    if not host or not url.isprintable() or " " in url or not (local or parts.scheme.lower() == "https"):
        raise ConfigurationError(f"The key set of application {application_id!r} must have a URL that begins with https:// and a host.")
    return url


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_open = build_opener(_NoRedirects).open


def _fetch(application_id: str, url: str) -> KeyRing:
    end = time.monotonic() + FETCH_SECONDS
    with _open(Request(url, headers={"Accept": "application/jwk-set+json, application/json"}), timeout=FETCH_SECONDS) as response:
        chunks: list[bytes] = []
        size = 0
        while chunk := response.read1(65_536):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_DOCUMENT:
                raise ConfigurationError(f"the document has more than {MAX_DOCUMENT} bytes")
            if time.monotonic() > end:
                raise TimeoutError
    return KeyRing.of_jwks(application_id, json.loads(b"".join(chunks)))


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        error.close()
        return f"the server answers {error.code}" + (" (redirects are not followed)" if 300 <= error.code < 400 else "")
    if isinstance(error, ConfigurationError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"they are not there after {FETCH_SECONDS:g} seconds"
    if isinstance(error, (OSError, http.client.HTTPException)):
        return f"{type(error).__name__}: {getattr(error, 'reason', error)}"
    return type(error).__name__
