"""Who calls: by a token of the API (``JWTAuthenticator``), or by the host's own user (``HostAuthenticator``)."""

from __future__ import annotations

import inspect
import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
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

MIN_KEY_BITS = 2048

MILLISECONDS = 1e11
"""A time from here on is in milliseconds, a mistake of some sample code: in seconds it is the year 5138."""

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")


class JWTAuthenticator:
    """Trusts the tokens of several applications, each signed with RS256 by its application's private key.

    ``applications`` maps each application's id to its RSA public key of at least 2048 bits, in PEM or as a key object. A token names its
    application by ``application_id``; ``sub`` is a user's name, a token without it is an admin's; ``acl`` narrows it. It ends at ``exp``,
    without leeway, or ``DEFAULT_LIFETIME`` after ``iat`` when there is no ``exp``. ``leeway`` is how many seconds ``iat`` and
    ``nbf`` may lie in the future. ``jti``, ``aud`` and claims of others are not looked at. The ``cache_size`` tokens verified
    or seen last are remembered, as digests and never beyond their end. May be used from several threads.
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
        if not 0 <= leeway < math.inf or cache_size < 0:
            raise ConfigurationError("JWTAuthenticator takes a leeway of 0 or more seconds and a cache_size of 0 or more tokens.")
        self._keys = {id: _public_key(id, key) for id, key in applications.items()}
        self._leeway = leeway
        self._clock = clock
        self._cache_size = cache_size
        self._cache: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def applications(self) -> Sequence[str]:
        """The ids of the applications."""
        return tuple(self._keys)

    async def authenticate(self, scope: ASGIScope) -> Principal:
        """The principal of the bearer token in the ``Authorization`` header. Raises ``Unauthenticated``."""
        header = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                if header is not None:
                    raise Unauthenticated("Send one Authorization header, not several.")
                header = value
        if header is None:
            raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
        return self._principal(header)

    def verify(self, token: str) -> Principal:
        """The principal that a token stands for. Raises ``Unauthenticated``."""
        return self._principal(b"Bearer " + token.encode("utf-8", "replace"))

    def _principal(self, header: bytes) -> Principal:
        # The digest, because who can read the memory of a server should not find its users' tokens in it. Of the whole header, because what
        # was right once need not be taken apart again.
        digest = sha256(header).digest()
        found = self._cache.get(digest)
        if found is None:
            return self._remember(digest, *self._verify(_bearer(header)))
        end, principal = found
        if self._clock() >= end:
            self._cache.pop(digest, None)
            raise _expired()
        try:  # noqa: SIM105 (it is slower, and this is on the path of every request)
            self._cache.move_to_end(digest)
        except KeyError:
            pass  # another thread has just made room
        return principal

    def _remember(self, digest: bytes, end: float, principal: Principal) -> Principal:
        with self._lock:
            self._cache[digest] = (end, principal)
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        return principal

    def _verify(self, token: str) -> tuple[float, Principal]:
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
        return end, Principal(claims["application_id"], _subject(claims), acl=acl, expires_at=datetime.fromtimestamp(end, UTC))

    def _claims(self, token: str) -> dict[str, Any]:
        """The claims of a token whose signature is its application's."""
        try:
            unverified = jwt.decode_complete(token, options={"verify_signature": False})
            _check_header(unverified["header"])
            application_id = unverified["payload"].get("application_id")
            public_key = self._keys.get(application_id) if isinstance(application_id, str) else None
            if public_key is None:
                raise _untrusted()
            claims: dict[str, Any] = jwt.decode(token, public_key, algorithms=["RS256"], options=_SIGNATURE_ONLY)
        except jwt.InvalidSignatureError as error:
            raise _untrusted() from error
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError) as error:
            # Older PyJWTs let their parsers' own errors through, such as for JSON that nests too deep.
            raise _garbled() from error
        return claims


_SIGNATURE_ONLY: Any = {
    "verify_signature": True,
    **{f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},
}


def _public_key(application_id: str, key: str | bytes | RSAPublicKey) -> RSAPublicKey:
    if not isinstance(application_id, str) or not application_id:
        raise ConfigurationError(f"An application's id is a string that is not empty, not {application_id!r}.")
    whose = f"The key of application {application_id!r}"
    loaded: Any = key
    if isinstance(key, (str, bytes)):
        pem = key.encode("utf-8", "replace") if isinstance(key, str) else key
        if b"PRIVATE KEY" not in pem:
            try:
                loaded = load_pem_public_key(pem)
            except (ValueError, TypeError, UnsupportedAlgorithm) as error:
                raise ConfigurationError(f"{whose} is not a public key in PEM format: give the text of the file, not its name.") from error
    if isinstance(loaded, (str, bytes, RSAPrivateKey)):
        raise ConfigurationError(f"{whose} is a private key: give the public key that belongs to it, and keep the private one secret.")
    if not isinstance(loaded, RSAPublicKey):
        raise ConfigurationError(f"{whose} must be an RSA public key, because tokens are signed with RS256.")
    if loaded.key_size < MIN_KEY_BITS:
        raise ConfigurationError(f"{whose} has {loaded.key_size} bits and needs {MIN_KEY_BITS}: make a new key pair.")
    return loaded


def _check_header(header: Mapping[str, Any]) -> None:
    if header.get("alg") != "RS256":
        raise Unauthenticated("The token must be signed with RS256.")
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.upper() != "JWT":
        raise Unauthenticated("The token's typ must be JWT.")
    # Refused here, because older PyJWTs let it pass.
    if "crit" in header:
        raise Unauthenticated("The token's header has crit, and this server knows no extensions.")


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
        raise Unauthenticated(f"The token's {name} must be in seconds since 1970, and seems to be in milliseconds.")
    return float(value)


def _subject(claims: Mapping[str, Any]) -> str | None:
    # A sub that is null or empty must not make an admin of somebody.
    if "sub" not in claims:
        return None
    sub = claims["sub"]
    if not isinstance(sub, str) or not sub:
        raise Unauthenticated("The token's sub must be the name of a user; leave it out for an admin.")
    return _checked_name(sub)


def _checked_name(name: str) -> str:
    try:
        return check_text("name", name)
    except InvalidInput as error:
        raise Unauthenticated(f"The user's name {error.fields['name']}.") from error


def _garbled() -> Unauthenticated:
    return Unauthenticated("The token is not a JSON Web Token.")


def _untrusted() -> Unauthenticated:
    # One answer to both: which applications a server has is nobody's business.
    return Unauthenticated("The token's application_id is not one that this server knows, or its signature is wrong.")


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
    or ``None`` for nobody; an empty name is nobody too. It may be async; a sync one runs on the event loop, at every request, and must not
    block. With ``create_users`` a user is created when first seen, else it must exist. Raises ``ConfigurationError``.
    """

    def __init__(self, identify: Identify, *, application_id: str = "default", create_users: bool = False) -> None:
        if not callable(identify):
            raise ConfigurationError(f"HostAuthenticator takes a function of the ASGI scope, not {identify!r}.")
        if not isinstance(application_id, str) or not application_id:
            raise ConfigurationError("HostAuthenticator takes an application_id that is a string and not empty.")
        self._identify = identify
        self._application_id = application_id
        self._create_users = create_users

    @property
    def applications(self) -> Sequence[str]:
        """The one application."""
        return (self._application_id,)

    async def authenticate(self, scope: ASGIScope) -> Principal:
        """The principal of the host's user.

        Raises ``Unauthenticated`` when there is none or the name is not one that a user can have, and ``ConfigurationError``
        for an answer that ``identify`` may not give.
        """
        identity = self._identify(scope)
        if inspect.isawaitable(identity):
            identity = await identity
        if identity is ADMIN:
            return Principal(self._application_id)
        user = HostUser(identity) if isinstance(identity, str) else identity
        if user is None or (isinstance(user, HostUser) and user.name == ""):
            raise Unauthenticated("Log in first.")
        if not isinstance(user, HostUser):
            raise ConfigurationError(f"identify must answer with a name, a HostUser, ADMIN or None, not with a {type(identity).__name__}.")
        if not isinstance(user.name, str) or not all(isinstance(value, str | None) for value in (user.display_name, user.image_url)):
            raise ConfigurationError("identify must answer with a HostUser whose name, display_name and image_url are strings.")
        return Principal(
            self._application_id,
            _checked_name(user.name),
            create=self._create_users,
            display_name=user.display_name,
            image_url=user.image_url,
        )
