"""Tokens that were verified, so that the next request with one costs no RSA."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

from conversation_kit import forks
from conversation_kit.domain.principals import Principal


class TokenCache:
    """Remembers principals by the digests of their verified tokens, for each application the ``size`` seen last.

    An application with many tokens makes room among its own. Digests, because who can read the memory of a server should not find
    its users' tokens in it. May be used from several threads.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._found: dict[bytes, tuple[float, Principal, OrderedDict[bytes, None]]] = {}
        self._orders: dict[str, OrderedDict[bytes, None]] = {}
        self._lock = forks.lock()

    def __len__(self) -> int:
        return len(self._found)

    def find(self, token: bytes, now: float) -> Principal | None:
        """Return the principal of a token that may still be taken as it was verified."""
        digest = sha256(token).digest()
        found = self._found.get(digest)
        if found is None:
            return None
        until, principal, order = found
        if now >= until:
            with self._lock:
                self._found.pop(digest, None)
                order.pop(digest, None)
            return None
        try:  # noqa: SIM105 (it is slower, and this is on the path of every request)
            order.move_to_end(digest)
        except KeyError:
            pass  # another thread has just made room
        return principal

    def keep(self, token: bytes, principal: Principal, until: float) -> None:
        """Remember a verified token until this time, in seconds since the epoch."""
        digest = sha256(token).digest()
        with self._lock:
            order = self._orders.setdefault(principal.application_id, OrderedDict())
            order[digest] = None
            self._found[digest] = (until, principal, order)
            while len(order) > self._size:
                oldest, _ = order.popitem(last=False)
                self._found.pop(oldest, None)
