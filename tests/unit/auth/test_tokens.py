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
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from conversation_kit.auth import JWTAuthenticator, make_key_pair, make_token
from conversation_kit.domain.errors import ConfigurationError, Unauthenticated
from tests.support.world import APP, keys

NOW = 1_800_000_000


def read(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, keys(APP)[1], algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}))


def test_an_admins_token_has_the_four_claims_and_nothing_else() -> None:
    claims = read(make_token(keys(APP)[0], APP, now=NOW))
    assert UUID(claims.pop("jti")).version == 4
    assert claims == {"application_id": APP, "iat": NOW, "exp": NOW + 900}


def test_sub_and_acl_are_put_in_as_given() -> None:
    acl: dict[str, Any] = {"paths": {"/*/users/**": {"methods": ["GET"], "filters": {"a": 1}}}}
    claims = read(make_token(keys(APP)[0], APP, sub="ana ü", acl=acl, ttl=60, now=NOW))
    assert (claims["sub"], claims["acl"], claims["exp"]) == ("ana ü", acl, NOW + 60)


def test_times_are_whole_seconds() -> None:
    claims = read(make_token(keys(APP)[0], APP, ttl=60.9, now=NOW + 0.9))
    assert (claims["iat"], claims["exp"]) == (NOW, NOW + 60)
    assert isinstance(claims["iat"], int)


def test_a_token_is_made_now_unless_told_otherwise() -> None:
    before = int(time.time())
    claims = read(make_token(keys(APP)[0], APP))
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 900


def test_no_two_tokens_are_the_same() -> None:
    one, two = (read(make_token(keys(APP)[0], APP, now=NOW)) for _ in range(2))
    assert one["jti"] != two["jti"]


def test_the_header_is_that_of_the_api() -> None:
    assert jwt.get_unverified_header(make_token(keys(APP)[0], APP)) == {"alg": "RS256", "typ": "JWT"}


def test_the_authenticator_takes_what_is_made_here() -> None:
    auth = JWTAuthenticator({APP: keys(APP)[1]})
    assert auth.verify(make_token(keys(APP)[0], APP)).is_admin
    principal = auth.verify(make_token(keys(APP)[0], APP, sub="ana", acl={"paths": {}}))
    assert principal.user_name == "ana"
    assert principal.acl is not None
    assert not principal.acl.permits("GET", ["/beta/users"], {})


def test_an_empty_sub_and_a_lifetime_that_is_over_stay_in_the_token_and_are_refused() -> None:
    auth = JWTAuthenticator({APP: keys(APP)[1]})
    for token, code in (
        (make_token(keys(APP)[0], APP, sub=""), "system:error:invalid-token"),
        (make_token(keys(APP)[0], APP, ttl=-1), "system:error:expired-token"),
        (make_token(keys(APP)[0], APP, ttl=0), "system:error:expired-token"),
    ):
        with pytest.raises(Unauthenticated) as caught:
            auth.verify(token)
        assert caught.value.code == code


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


@pytest.mark.parametrize("text", ["", "junk", "private.key", "\ud800", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="PEM"):
        make_token(text, APP)


def test_keys_that_cannot_sign_are_refused_without_being_shown() -> None:
    small = rsa.generate_private_key(65537, 1024)
    for text, reason in (
        (keys(APP)[1], "PEM"),
        (pem(small, b"secret"), "password"),
        (pem(small), "2048 bits"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "RSA"),
    ):
        with pytest.raises(ConfigurationError, match=reason) as caught:
            make_token(text, APP)
        assert "BEGIN" not in str(caught.value)


def test_a_key_pair_is_two_pems_that_belong_together() -> None:
    private, public = make_key_pair()
    key = load_pem_private_key(private.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert key.public_key() == load_pem_public_key(public.encode())
    assert private.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert public.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert private != keys(APP)[0]
