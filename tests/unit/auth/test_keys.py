"""Keys as hosts have them, and what is said about those that are none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.algorithms import RSAAlgorithm

from conversation_kit.auth import JWTAuthenticator, make_key_pair, make_token
from conversation_kit.auth.keys import MAX_KEYS, KeyRing
from conversation_kit.domain.errors import ConfigurationError, Unauthenticated
from tests.support.keys import jwk, private
from tests.support.world import APP, keys


def certificate(key: Any) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = builder.not_valid_before(start).not_valid_after(start + timedelta(days=1)).sign(key, SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def test_a_key_may_be_a_certificate_a_file_or_a_line_of_an_environment_file(tmp_path: Path) -> None:
    public, file = keys(APP)[1], tmp_path / "public.pem"
    file.write_text(public)
    token = make_token(keys(APP)[0], APP)
    for key in (public.replace("\n", "\\n"), public.replace("\n", "\\r\\n"), public.encode(), file, certificate(private())):
        assert JWTAuthenticator({APP: key}).verify(token).is_admin


def test_a_token_is_signed_with_text_bytes_a_file_or_an_object(tmp_path: Path) -> None:
    pem, file = keys(APP)[0], tmp_path / "private.pem"
    file.write_text(pem)
    auth = JWTAuthenticator({APP: keys(APP)[1]})
    for key in (pem, pem.encode(), pem.replace("\n", "\\n"), file, private()):
        assert auth.verify(make_token(key, APP, sub="ana")).user_name == "ana"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (lambda: None, "is None: is the setting or the environment variable missing"),
        (lambda: Path("nowhere/public.pem"), r"cannot be read from 'nowhere/public.pem': No such file"),
        (lambda: Path("."), "cannot be read from"),
        (lambda: "public.pem", "pathlib.Path"),
        (lambda: certificate(ec.generate_private_key(ec.SECP256R1())), "RSA"),
        (lambda: 7, "RSA"),
        (lambda: [], "from 1 to 16"),
        (lambda: [keys(APP)[1], None], "is None"),
        (lambda: [keys(APP)[1]] * (MAX_KEYS + 1), "from 1 to 16"),
        (lambda: {}, "from 1 to 16"),
        (lambda: {"": keys(APP)[1]}, "kid"),
        (lambda: {7: keys(APP)[1]}, "kid"),
        (lambda: {"one": keys(APP)[0]}, r"\(one\) is a private key"),
        (lambda: {"keys": []}, "from 1 to 16"),
        (lambda: {"keys": [jwk(kty="EC")]}, "from 1 to 16"),
        (lambda: {"keys": [jwk()] * 65}, "more than 64"),
    ],
)
def test_what_is_no_key_gets_the_sentence_that_helps(key: Callable[[], Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        JWTAuthenticator({"shop": key()})
    assert "'shop'" in str(caught.value)
    assert "BEGIN" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (lambda: None, "is None"),
        (lambda: Path("nowhere/private.pem"), "cannot be read"),
        (lambda: keys(APP)[1], "public one"),
        (lambda: certificate(private()), "certificate"),
        (lambda: b"\xff", "PEM"),
        (lambda: 7, "RSA"),
        (lambda: private().public_key(), "RSA"),
    ],
)
def test_what_cannot_sign_gets_the_sentence_that_helps(key: Callable[[], Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        make_token(key(), APP)
    assert "BEGIN" not in str(caught.value)


# Several keys


def test_with_several_keys_old_and_new_tokens_are_good_while_both_are_there() -> None:
    old, new = keys(APP), make_key_pair()
    tokens = [make_token(old[0], APP), make_token(new[0], APP), make_token(new[0], APP, kid="whatever")]
    both, after = JWTAuthenticator({APP: [old[1], new[1]]}), JWTAuthenticator({APP: [new[1]]})
    for token in tokens:
        assert both.verify(token).is_admin
    assert after.verify(tokens[1]).is_admin
    with pytest.raises(Unauthenticated):
        after.verify(tokens[0])


def test_a_kid_names_the_only_key_that_its_token_is_checked_with() -> None:
    one, two = keys(APP), make_key_pair()
    auth = JWTAuthenticator({APP: {"one": one[1], "two": two[1]}})
    assert auth.verify(make_token(one[0], APP, kid="one")).is_admin
    assert auth.verify(make_token(two[0], APP, kid="two")).is_admin
    assert auth.verify(make_token(two[0], APP)).is_admin  # of real clients, which send no kid
    for kid in ("one", "three"):
        with pytest.raises(Unauthenticated):
            auth.verify(make_token(two[0], APP, kid=kid))


def test_a_kid_that_is_no_text_is_refused() -> None:
    auth = JWTAuthenticator({APP: {"one": keys(APP)[1]}})
    for kid in (7, ["one"], {"one": 1}):
        body = jwt.encode({"application_id": APP, "iat": 1, "exp": 9e9}, private(), algorithm="RS256", headers={"kid": "x"})
        head = jwt.utils.base64url_encode(b'{"alg":"RS256","kid":%s}' % str(kid).replace("'", '"').encode()).decode()
        with pytest.raises(Unauthenticated):
            auth.verify(".".join([head, *body.split(".")[1:]]))


def test_a_key_set_gives_its_rsa_keys_that_sign() -> None:
    other = make_key_pair()
    ring = KeyRing.of_jwks(
        APP,
        {
            "keys": [
                jwk("good", use="sig", alg="RS256"),
                jwk("encrypts", other[0], use="enc"),
                jwk("other-algorithm", other[0], alg="PS256"),
                jwk("signs-only", other[0], key_ops=["sign"]),
                {"kty": "EC", "kid": "curve"},
                {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
                {"kty": "RSA", "kid": "nothing"},
                RSAAlgorithm.to_jwk(private(), as_dict=True) | {"kid": "private"},
                "junk",
                jwk(None, other[0]),
            ]
        },
    )
    assert set(ring.named) == {"good"}
    assert len(ring.unnamed) == 1
    assert JWTAuthenticator({APP: {"keys": [jwk("good")]}}).verify(make_token(keys(APP)[0], APP, kid="good")).is_admin
