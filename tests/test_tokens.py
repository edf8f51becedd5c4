from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from conversation_kit.auth import JWTAuthenticator
from conversation_kit.domain.errors import ConfigurationError, Unauthenticated
from conversation_kit.tokens import make_key_pair, make_token

pytest_plugins = ("tests.keys",)


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption | None = None) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


def test_a_key_pair_is_two_pem_texts_that_belong_together() -> None:
    private, public = make_key_pair()
    assert private.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert public.startswith("-----BEGIN PUBLIC KEY-----\n")
    key = load_pem_private_key(private.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert key.public_key() == load_pem_public_key(public.encode())
    assert make_key_pair()[0] != private


def test_a_token_carries_the_claims_of_the_api(key_pair: tuple[str, str]) -> None:
    acl: dict[str, Any] = {"paths": {"/*/users/**": {}}}
    token = make_token(key_pair[0], "app-1", sub="ana", ttl=60.9, acl=acl, now=1_700_000_000.7)
    claims = jwt.decode(token, key_pair[1], algorithms=["RS256"], options={"verify_exp": False})
    assert UUID(claims.pop("jti")).version == 4
    assert claims == {"application_id": "app-1", "iat": 1_700_000_000, "exp": 1_700_000_060, "sub": "ana", "acl": acl}
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT"}


def test_a_token_is_an_admins_for_fifteen_minutes_from_now_unless_told_otherwise(key_pair: tuple[str, str]) -> None:
    token = make_token(key_pair[0], "app-1")
    claims = jwt.decode(token, key_pair[1], algorithms=["RS256"])
    assert set(claims) == {"application_id", "iat", "exp", "jti"}
    assert abs(claims["iat"] - time.time()) < 5
    assert claims["exp"] == claims["iat"] + 900
    assert make_token(key_pair[0], "app-1") != token


def test_an_empty_sub_stays_in_the_token_and_makes_nobody_an_admin(key_pair: tuple[str, str]) -> None:
    with pytest.raises(Unauthenticated, match="sub"):
        JWTAuthenticator({"app-1": key_pair[1]}).verify(make_token(key_pair[0], "app-1", sub=""))


def test_an_empty_acl_grants_nothing(key_pair: tuple[str, str]) -> None:
    principal = JWTAuthenticator({"app-1": key_pair[1]}).verify(make_token(key_pair[0], "app-1", acl={"paths": {}}))
    assert principal.acl is not None
    assert not principal.acl.permits("GET", ["/beta/users"], {})


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "private.pem",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDKgMEBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n-----END PRIVATE KEY-----\n",
    ],
    ids=["nothing", "a file's name", "no key", "a key of an unknown algorithm"],
)
def test_what_is_no_key_is_refused(pem: str) -> None:
    with pytest.raises(ConfigurationError, match="PEM"):
        make_token(pem, "app-1")


def test_keys_that_cannot_sign_tokens_are_refused(key_pair: tuple[str, str]) -> None:
    small = rsa.generate_private_key(65537, 1024)
    for pem in (private_pem(small), private_pem(ec.generate_private_key(ec.SECP256R1()))):
        with pytest.raises(ConfigurationError, match="RSA key of at least 2048 bits"):
            make_token(pem, "app-1")
    for pem in (key_pair[1], private_pem(small, BestAvailableEncryption(b"secret"))):
        with pytest.raises(ConfigurationError, match="without a password"):
            make_token(pem, "app-1")
