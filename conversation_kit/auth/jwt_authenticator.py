"""Callers known by a token of the API."""

from __future__ import annotations

import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, time
from typing import Any

import jwt

from conversation_kit.auth.claims import Limits
from conversation_kit.auth.key_sources import Applications, KeySource, key_source, renew
from conversation_kit.auth.token_cache import TokenCache
from conversation_kit.domain.errors import ConfigurationError, Unauthenticated
from conversation_kit.domain.principals import Principal
from conversation_kit.ports import ASGIScope

MAX_TOKEN = 16_384
"""Characters of a token."""

_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{2,}")


class JWTAuthenticator:
    """Trusts the tokens of several applications, each signed with RS256 by its application's private key.

    ``applications`` maps each application's id to its RSA public key of at least 2048 bits: in PEM, as a certificate, a ``Path`` of either,
    or a key object. There may be several, in a list, or in a mapping from ``kid``; a URL of a JSON Web Key Set; or a function that
    returns any of the first and may block. A token names its application by ``application_id``; ``sub`` is a user's name, a token without
    it is an admin's; ``acl`` narrows it. It ends at ``exp``, without leeway, or ``DEFAULT_LIFETIME`` after ``iat`` when there is no
    ``exp``. ``leeway`` is how many seconds ``iat`` and ``nbf`` may lie in the future, ``max_lifetime`` how many may be from ``iat`` to
    ``exp``. ``jti``, ``aud`` and claims of others are not looked at. Of each application the ``cache_size`` tokens seen last are
    remembered. May be used from several threads. Raises ``ConfigurationError``.
    """

    def __init__(
        self,
        applications: Mapping[str, Applications],
        *,
        leeway: float = 60,
        max_lifetime: float | None = None,
        cache_size: int = 10_000,
        clock: Callable[[], float] = time,
    ) -> None:
        if not applications:
            raise ConfigurationError("JWTAuthenticator needs at least one application with its public key.")
        if not 0 <= leeway < math.inf or cache_size < 0:
            raise ConfigurationError("JWTAuthenticator takes a leeway of 0 or more seconds and a cache_size of 0 or more tokens.")
        if max_lifetime is not None and not 0 < max_lifetime < math.inf:
            raise ConfigurationError("JWTAuthenticator takes a max_lifetime of more than 0 seconds, or None for no limit.")
        self._sources = {id: key_source(id, keys) for id, keys in applications.items()}
        self._limits = Limits(leeway, max_lifetime)
        self._clock = clock
        self._cache = TokenCache(cache_size)

    @property
    def applications(self) -> Sequence[str]:
        """The ids of the applications."""
        return tuple(self._sources)

    async def authenticate(self, scope: ASGIScope) -> Principal:
        """Return the principal of the bearer token in the ``Authorization`` header.

        Raises ``Unauthenticated``, and ``HookFailed`` when the keys of its application cannot be fetched.
        """
        header = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                if header is not None:
                    raise Unauthenticated("Send one Authorization header, not several.")
                header = value
        if header is None:
            raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
        if header.startswith(b"Bearer ") and (found := self._cache.find(header[7:], self._clock())) is not None:
            return found
        token = _bearer(header)
        application_id, kid = self._named(token)
        source = self._sources[application_id]
        if source.wants(kid, monotonic()):
            await renew(source, kid)
        return self._verified(token, source, kid)

    def verify(self, token: str) -> Principal:
        """Return the principal that a token stands for; blocks while keys have to be fetched. Raises as ``authenticate``."""
        token = _bearer(b"Bearer " + token.encode("utf-8", "replace"))
        found = self._cache.find(token.encode(), self._clock())
        if found is not None:
            return found
        application_id, kid = self._named(token)
        source = self._sources[application_id]
        if source.wants(kid, monotonic()):
            source.renew(kid)
        return self._verified(token, source, kid)

    def _named(self, token: str) -> tuple[str, object]:
        """Return which application and which of its keys a token names, before anything of it can be trusted."""
        try:
            unverified = jwt.decode_complete(token, options={"verify_signature": False})
            _check_header(unverified["header"])
            _check_spelling(token)
            application_id = unverified["payload"].get("application_id")
        except _UNREADABLE as error:
            # Older PyJWTs let their parsers' own errors through, such as for JSON that nests too deep.
            raise _garbled() from error
        if not isinstance(application_id, str) or application_id not in self._sources:
            raise _untrusted()
        return application_id, unverified["header"].get("kid")

    def _verified(self, token: str, source: KeySource, kid: object) -> Principal:
        found = self._cache.find(token.encode(), self._clock())
        if found is not None:
            return found
        clock = monotonic()
        claims = _claims(token, source.ring(clock).candidates(kid))
        now = self._clock()
        principal = self._limits.principal(claims, now)
        assert principal.expires_at is not None
        self._cache.keep(token.encode(), principal, min(principal.expires_at.timestamp(), now + source.fresh_for(clock)))
        return principal


_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError)
_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    **{f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},
}


def _claims(token: str, keys: Sequence[Any]) -> Mapping[str, Any]:
    """Return the claims of a token that one of ``keys`` has signed."""
    for key in keys:
        try:
            claims: Mapping[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options=_SIGNATURE_ONLY)
        except jwt.InvalidSignatureError:
            continue
        except _UNREADABLE as error:
            raise _garbled() from error
        return claims
    raise _untrusted()


def _check_header(header: Mapping[str, Any]) -> None:
    if header.get("alg") != "RS256":
        raise Unauthenticated("The token must be signed with RS256.")
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.upper() != "JWT":
        raise Unauthenticated("The token's typ must be JWT.")
    # Refused here, because older PyJWTs let it pass.
    if "crit" in header:
        raise Unauthenticated("The token's header has crit, and this server knows no extensions.")


def _check_spelling(token: str) -> None:
    """Refuse a signature that is not base64url as it is written: decoders skip what is none, so one token would be many."""
    signature = token.rpartition(".")[2]
    if not _SIGNATURE.fullmatch(signature):
        raise _garbled()
    if urlsafe_b64encode(urlsafe_b64decode(signature + "=" * (-len(signature) % 4))).rstrip(b"=").decode() != signature:
        raise _garbled()


def _bearer(header: bytes) -> str:
    scheme, _, token = header.partition(b" ")
    token = token.strip(b" ")
    if scheme.lower() != b"bearer" or not token or b" " in token:
        raise Unauthenticated("The Authorization header must read: Bearer <token>.")
    if len(token) > MAX_TOKEN:
        raise Unauthenticated(f"The token has {len(token)} characters and may have {MAX_TOKEN}.")
    if not token.isascii():
        raise _garbled()
    return token.decode("ascii")


def _garbled() -> Unauthenticated:
    return Unauthenticated("The token is not a JSON Web Token.")


def _untrusted() -> Unauthenticated:
    # One answer to both: which applications a server has is nobody's business.
    return Unauthenticated("The token's application_id is not one that this server knows, or its signature is wrong.")
