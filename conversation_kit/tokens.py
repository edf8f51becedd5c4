"""Making tokens and key pairs, for hosts, for the command line and for tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

from conversation_kit.domain.errors import ConfigurationError

KEY_BITS = 2048


def make_token(
    private_key_pem: str,
    application_id: str,
    *,
    sub: str | None = None,
    ttl: float = 900,
    acl: Mapping[str, Any] | None = None,
    now: float | None = None,
) -> str:
    """A token signed with the application's private key.

    ``sub`` is a user's name; without it the token is an admin's. ``ttl`` is in seconds, ``now`` in seconds since the epoch; both are cut to
    whole ones. ``acl`` narrows what it is good for. Raises ``ConfigurationError`` when the key is not an RSA private key of at least
    ``KEY_BITS`` bits in PEM format without a password.
    """
    issued = int(time.time() if now is None else now)
    claims: dict[str, Any] = {"application_id": application_id, "iat": issued, "jti": str(uuid4()), "exp": issued + int(ttl)}
    if sub is not None:
        claims["sub"] = sub
    if acl is not None:
        claims["acl"] = acl
    return jwt.encode(claims, _private_key(private_key_pem), algorithm="RS256")


def make_key_pair() -> tuple[str, str]:
    """A new RSA key pair of ``KEY_BITS`` bits in PEM: the private key (PKCS 8), then the public one."""
    key = generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def _private_key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError("The private key is not one in PEM format without a password.") from error
    if not isinstance(key, RSAPrivateKey) or key.key_size < KEY_BITS:
        raise ConfigurationError(f"The private key must be an RSA key of at least {KEY_BITS} bits: tokens are signed with RS256.")
    return key
