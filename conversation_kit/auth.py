"""Who calls: by a token of the API (``JWTAuthenticator``), or by the host's own user (``HostAuthenticator``)."""

from __future__ import annotations

import inspect
import math
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from conversation_kit.acl import PathACL
from conversation_kit.domain.errors import ConfigurationError, InvalidInput, Unauthenticated
from conversation_kit.domain.principals import Principal
from conversation_kit.domain.values import check_text
from conversation_kit.ports import ASGIScope

DEFAULT_LIFETIME = 900
"""Seconds that a token without ``exp`` lives from its ``iat`` on (SEMANTICS section 5)."""

MAX_TOKEN = 16_384
"""Characters of a token."""

MILLISECONDS = 1e11
"""A time from here on is in milliseconds, a mistake of some sample code: in seconds it is the year 5138."""

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,9})?")


class JWTAuthenticator:
    """Trusts the tokens of several applications, each signed with RS256 by its application's private key.

    ``applications`` maps each application's id to its RSA public key of at least 2048 bits, in PEM or as a key object. A token names its
    application by ``application_id``; ``sub`` is a user's name, a token without it is an admin's; ``acl`` narrows it. ``exp``
    is when it ends, to the second; without one it ends ``DEFAULT_LIFETIME`` after ``iat``. ``leeway`` is how many seconds ``iat`` and
    ``nbf`` may lie in the future. Verified tokens are remembered, at most ``cache_size`` of them and never beyond their end.
    Raises ``ConfigurationError``.
    """

    def __init__(
        self,
        applications: Mapping[str, str | bytes | RSAPublicKey],
        *,
        leeway: float = 60,
        cache_size: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not applications:
            raise ConfigurationError("JWTAuthenticator needs at least one application with its public key.")
        self._keys = {id: _public_key(id, key) for id, key in applications.items()}
        self._leeway = leeway
        self._clock = clock
        self._cache_size = cache_size
        self._cache: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    @property
    def applications(self) -> Sequence[str]:
        """The ids of the applications."""
        return tuple(self._keys)

    async def authenticate(self, scope: ASGIScope) -> Principal:
        """The principal of the bearer token in the ``Authorization`` header. Raises ``Unauthenticated``."""
        return self.verify(_bearer(scope["headers"]))

    def verify(self, token: str) -> Principal:
        """The principal that a token stands for. Raises ``Unauthenticated``."""
        key = sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = self._cache.get(key)
        if found is not None:
            end, principal = found
            if self._clock() < end:
                return principal
            self._cache.pop(key, None)
            raise _expired()
        end, principal = self._verify(token)
        self._cache[key] = (end, principal)
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return principal

    def _verify(self, token: str) -> tuple[float, Principal]:
        if len(token) > MAX_TOKEN:
            raise Unauthenticated(f"The token has {len(token)} characters and may have {MAX_TOKEN}.")
        claims = self._claims(token)
        now = self._clock()
        issued, not_before, end = (_instant(claims, name) for name in ("iat", "nbf", "exp"))
        if end is None:
            if issued is None:
                raise Unauthenticated("The token has neither exp nor iat: nobody can tell when it ends.")
            end = issued + DEFAULT_LIFETIME
        for name, instant in (("iat", issued), ("nbf", not_before)):
            if instant is not None and instant > now + self._leeway:
                raise Unauthenticated(f"The token's {name} lies in the future: look at the clocks.")
        if now >= end:
            raise _expired()
        acl = PathACL.parse(claims["acl"]) if "acl" in claims else None
        expires_at = datetime.fromtimestamp(min(end, MILLISECONDS), UTC)
        return end, Principal(claims["application_id"], _subject(claims), acl=acl, expires_at=expires_at)

    def _claims(self, token: str) -> dict[str, Any]:
        """The claims of a token whose signature is its application's."""
        try:
            unverified = jwt.decode_complete(token, options={"verify_signature": False})
            header = unverified["header"]
            if header.get("alg") != "RS256":
                raise Unauthenticated("The token must be signed with RS256.")
            if "typ" in header and str(header["typ"]).upper() != "JWT":
                raise Unauthenticated("The token's typ must be JWT.")
            application_id = unverified["payload"].get("application_id")
            public_key = self._keys.get(application_id) if isinstance(application_id, str) else None
            if public_key is None:
                raise Unauthenticated("The token's application_id is not one that this server knows, or its signature is wrong.")
            claims: dict[str, Any] = jwt.decode(token, public_key, algorithms=["RS256"], options=_SIGNATURE_ONLY)
        except jwt.InvalidSignatureError as error:
            raise Unauthenticated("The token's application_id is not one that this server knows, or its signature is wrong.") from error
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError) as error:
            # PyJWT lets a few of its parsers' own errors through, for payloads that no library would have made.
            raise Unauthenticated("The token is not a JSON Web Token.") from error
        return claims


_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    **{f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},
}


def _public_key(application_id: str, key: str | bytes | RSAPublicKey) -> RSAPublicKey:
    if isinstance(key, (str, bytes)):
        pem = key.encode() if isinstance(key, str) else key
        if b"PRIVATE KEY" in pem:
            raise ConfigurationError(
                f"Application {application_id!r} has a private key here: give its public key, and keep the other secret."
            )
        try:
            loaded = load_pem_public_key(pem)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"The key of application {application_id!r} is not a public key in PEM format.") from error
    else:
        loaded = key
    if not isinstance(loaded, RSAPublicKey) or loaded.key_size < 2048:
        raise ConfigurationError(f"The key of application {application_id!r} must be an RSA public key of at least 2048 bits.")
    return loaded


def _bearer(headers: Iterable[tuple[bytes, bytes]]) -> str:
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
    scheme, _, token = values[0].partition(b" ")
    token = token.strip()
    if len(values) > 1 or scheme.lower() != b"bearer" or not token or not token.isascii() or b" " in token:
        raise Unauthenticated("The Authorization header must be one, and be: Bearer <token>.")
    return token.decode("ascii")


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    """A time claim in seconds since the epoch; numeric strings are taken too (SEMANTICS section 5)."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, str) and value.isascii() and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise Unauthenticated(f"The token's {name} must be a number of seconds since 1970.")
    if value >= MILLISECONDS:
        raise Unauthenticated(f"The token's {name} seems to be in milliseconds: it must be in seconds since 1970.")
    return float(value)


def _subject(claims: Mapping[str, Any]) -> str | None:
    # A sub that is there and empty must not make an admin of a user.
    if "sub" not in claims:
        return None
    sub = claims["sub"]
    if not isinstance(sub, str) or not sub:
        raise Unauthenticated("The token's sub must be the name of a user; leave it out for an admin.")
    return _checked_name(sub)


def _checked_name(name: str) -> str:
    try:
        return check_text("The user's name", name)
    except InvalidInput as error:
        raise Unauthenticated(error.description) from error


def _expired() -> Unauthenticated:
    return Unauthenticated("The token has expired: get a new one.", "system:error:expired-token")


@dataclass(frozen=True, slots=True)
class HostUser:
    """A user of the host: ``name`` is unique in the application; the rest is for creating it on first sight."""

    name: str
    display_name: str | None = None
    image_url: str | None = None


class _Admin(Enum):
    ADMIN = "admin"


ADMIN: Final = _Admin.ADMIN
"""What an ``identify`` callable answers for somebody who may do everything."""

Identity: TypeAlias = str | HostUser | Literal[_Admin.ADMIN] | None
Identify: TypeAlias = Callable[[ASGIScope], Identity | Awaitable[Identity]]


class HostAuthenticator:
    """Takes the host's own user.

    ``identify`` gets the ASGI scope, with what the host's middleware put there, and answers with a user's name, a ``HostUser``, ``ADMIN``,
    or ``None`` for nobody. It may be async; a sync one runs on the event loop and must not block. With ``create_users`` a user is created
    when first seen, else it must exist.
    """

    def __init__(self, identify: Identify, *, application_id: str = "default", create_users: bool = False) -> None:
        self._identify = identify
        self._application_id = application_id
        self._create_users = create_users

    @property
    def applications(self) -> Sequence[str]:
        """The one application."""
        return (self._application_id,)

    async def authenticate(self, scope: ASGIScope) -> Principal:
        """The principal of the host's user. Raises ``Unauthenticated`` when there is none."""
        identity = self._identify(scope)
        if inspect.isawaitable(identity):
            identity = await identity
        if identity is None:
            raise Unauthenticated("Log in first.")
        if identity is ADMIN:
            return Principal(self._application_id)
        user = HostUser(identity) if isinstance(identity, str) else identity
        if not isinstance(user, HostUser) or not isinstance(user.name, str) or not user.name:
            raise ConfigurationError(f"identify must answer with a name, a HostUser, ADMIN or None, not {identity!r}.")
        return Principal(
            self._application_id,
            _checked_name(user.name),
            create=self._create_users,
            display_name=user.display_name,
            image_url=user.image_url,
        )
