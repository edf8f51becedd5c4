"""RSA keys as JSON Web Keys."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import RSAAlgorithm

from tests.support.world import APP, keys


def private() -> rsa.RSAPrivateKey:
    key = load_pem_private_key(keys(APP)[0].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def jwk(kid: str | None = None, pem: str | None = None, **changes: Any) -> dict[str, Any]:
    key: Any = private() if pem is None else load_pem_private_key(pem.encode(), None)
    named = {} if kid is None else {"kid": kid}
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), **named, **changes}
