"""Making tokens and key pairs, for hosts, for the command line and for tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from conversation_kit.auth.keys import MIN_KEY_BITS, PrivateKey, private_key


def make_token(
    key: PrivateKey,
    application_id: str,
    *,
    sub: str | None = None,
    ttl: float = 900,
    acl: Mapping[str, Any] | None = None,
    now: float | None = None,
    kid: str | None = None,
) -> str:
    """Return a token signed with the application's private key, which is a PEM text, its ``Path`` or an object.

    ``sub`` is a user's name; without it the token is an admin's. ``ttl`` is in seconds, ``now`` in seconds since the epoch; both are cut to
    whole ones. ``acl`` narrows what it is good for, ``kid`` names the key for servers that know several. Raises ``ConfigurationError``
    when the key is not an RSA private key of at least 2048 bits without a password.
    """
    issued = int(time.time() if now is None else now)
    claims: dict[str, Any] = {"application_id": application_id, "iat": issued, "jti": str(uuid4()), "exp": issued + int(ttl)}
    if sub is not None:
        claims["sub"] = sub
    if acl is not None:
        claims["acl"] = acl
    return jwt.encode(claims, private_key(key), algorithm="RS256", headers=None if kid is None else {"kid": kid})


def make_key_pair() -> tuple[str, str]:
    """Return a new RSA key pair of 2048 bits in PEM: the private key (PKCS 8), then the public one."""
    key = generate_private_key(public_exponent=65537, key_size=MIN_KEY_BITS)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
