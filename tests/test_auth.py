from __future__ import annotations

import functools
import hmac
import json
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid1

import anyio.lowlevel
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, load_pem_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from conversation_kit import ADMIN, Authenticator, ConfigurationError, HostAuthenticator, HostUser, JWTAuthenticator, Unauthenticated
from conversation_kit.auth import MAX_TOKEN
from conversation_kit.domain.principals import Principal
from conversation_kit.tokens import make_token

pytestmark = pytest.mark.anyio
pytest_plugins = ("tests.keys",)

KeyPair = tuple[str, str]
APP, OTHER = "app-1", "app-2"
NOW = 1_700_000_000
HEADER = {"alg": "RS256", "typ": "JWT"}
INVALID, EXPIRED = "system:error:invalid-token", "system:error:expired-token"


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@functools.cache
def loaded(pem: str) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(pair: KeyPair, payload: object, header: object = HEADER) -> str:
    """A token with whatever header and payload, as JSON or as given bytes, and the right signature."""
    body = f"{segment(header)}.{segment(payload)}"
    return f"{body}.{segment(loaded(pair[0]).sign(body.encode(), padding.PKCS1v15(), SHA256()))}"


def claims(*without: str, **changes: Any) -> dict[str, Any]:
    good = {"application_id": APP, "iat": NOW, "jti": "4ad0", "exp": NOW + 900, **changes}
    return {name: value for name, value in good.items() if name not in without}


def make_auth(pair: KeyPair, now: float = NOW, **options: Any) -> JWTAuthenticator:
    return JWTAuthenticator({APP: pair[1]}, clock=Clock(now), **options)


def refusal(auth: JWTAuthenticator, token: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        auth.verify(token)
    assert len(token) < 12 or token not in str(caught.value)
    return caught.value


def scope(*values: bytes) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"host", b"x"), *((b"authorization", value) for value in values), (b"accept", b"*/*")]}


# Who a token stands for


def test_a_token_without_sub_is_an_admins_and_one_with_sub_a_users(key_pair: KeyPair) -> None:
    auth = make_auth(key_pair)
    admin = auth.verify(signed(key_pair, claims()))
    assert admin == Principal(APP, None, expires_at=datetime.fromtimestamp(NOW + 900, UTC))
    assert admin.is_admin
    assert not admin.trusted
    assert auth.verify(signed(key_pair, claims(sub="ana ü"))).user_name == "ana ü"
    assert auth.verify(signed(key_pair, claims(sub="x" * 255))).user_name == "x" * 255


def test_each_application_has_its_own_key(key_pair: KeyPair, other_key_pair: KeyPair) -> None:
    auth = JWTAuthenticator({APP: key_pair[1], OTHER: other_key_pair[1]}, clock=Clock())
    assert auth.applications == (APP, OTHER)
    assert auth.verify(signed(key_pair, claims())).application_id == APP
    assert auth.verify(signed(other_key_pair, claims(application_id=OTHER))).application_id == OTHER
    refusal(auth, signed(other_key_pair, claims()))
    refusal(auth, signed(key_pair, claims(application_id=OTHER)))


def test_an_unknown_application_and_a_wrong_signature_are_answered_alike(key_pair: KeyPair, other_key_pair: KeyPair) -> None:
    auth = make_auth(key_pair)
    answers = {
        (error.code, error.description)
        for error in (
            refusal(auth, signed(key_pair, claims(application_id="nobody's"))),
            refusal(auth, signed(other_key_pair, claims(application_id="nobody's"))),
            refusal(auth, signed(other_key_pair, claims())),
            refusal(auth, signed(key_pair, claims("application_id"))),
            refusal(auth, signed(key_pair, claims(application_id=[APP]))),
        )
    }
    assert len(answers) == 1
    assert answers.pop()[0] == INVALID


def test_an_acl_narrows_a_token_and_its_absence_does_not(key_pair: KeyPair) -> None:
    auth = make_auth(key_pair)
    assert auth.verify(signed(key_pair, claims())).acl is None
    acl = auth.verify(signed(key_pair, claims(acl={"paths": {"/*/users/**": {}}}))).acl
    assert acl is not None
    assert acl.permits("GET", ["/beta/users"], {})
    assert not acl.permits("GET", ["/beta/legs"], {})


@pytest.mark.parametrize(
    "payload",
    [
        claims("exp", jti=str(uuid1())),
        claims("exp", "jti"),
        claims("iat"),
        claims(exp=str(NOW + 900)),
        claims(exp=f"{NOW + 900}.25", iat=str(NOW), nbf=str(NOW)),
        claims(exp=NOW + 0.5, iat=NOW - 0.5, nbf=NOW + 0.25),
        claims(iat=NOW + 60, nbf=NOW + 60),
        claims(sub="ana", subject="ana", issued_at=NOW, issuedAt=NOW, private_key="./x"),
        claims(aud="somebody else", iss=["a", 1], jti=7),
        claims(exp=NOW + 10 * 365 * 86400),
    ],
    ids=lambda payload: ",".join(f"{name}={value}" for name, value in payload.items())[:80],
)
def test_tokens_as_real_clients_make_them_are_taken(key_pair: KeyPair, payload: dict[str, Any]) -> None:
    assert make_auth(key_pair).verify(signed(key_pair, payload)).application_id == APP


@pytest.mark.parametrize("header", [{"alg": "RS256"}, {"alg": "RS256", "typ": "jwt"}, {"alg": "RS256", "typ": "JWT", "kid": "1", "x": [1]}])
def test_headers_as_real_clients_make_them_are_taken(key_pair: KeyPair, header: object) -> None:
    assert make_auth(key_pair).verify(signed(key_pair, claims(), header)).is_admin


# What is refused


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "number of seconds"),
        (True, "number of seconds"),
        ([], "number of seconds"),
        ({"a": 1}, "number of seconds"),
        ("", "number of seconds"),
        ("tomorrow", "number of seconds"),
        ("1e9", "number of seconds"),
        ("nan", "number of seconds"),
        ("1_700_000_000", "number of seconds"),
        ("\u0661" * 10, "number of seconds"),
        ("2026-01-01T00:00:00Z", "number of seconds"),
        (float("nan"), "number of seconds"),
        (float("inf"), "number of seconds"),
        (float("-inf"), "number of seconds"),
        (-1, "number of seconds"),
        (NOW * 1000, "milliseconds"),
        (str(NOW * 1000), "milliseconds"),
        (10**400, "milliseconds"),
        (1e300, "milliseconds"),
    ],
)
def test_times_that_are_not_seconds_are_refused_with_the_reason(key_pair: KeyPair, name: str, value: object, reason: str) -> None:
    error = refusal(make_auth(key_pair), signed(key_pair, claims(**{name: value})))
    assert error.code == INVALID
    assert name in error.description
    assert reason in error.description
    assert "seconds since 1970" in error.description


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (claims("iat", "exp"), "neither exp nor iat"),
        (claims(iat=NOW + 61), "iat lies in the future"),
        (claims(nbf=NOW + 61), "nbf lies in the future"),
        (claims("iat", "exp", nbf=NOW), "neither exp nor iat"),
        (claims(sub=None), "sub"),
        (claims(sub=""), "sub"),
        (claims(sub=7), "sub"),
        (claims(sub=["ana"]), "sub"),
        (claims(sub="x" * 256), "255"),
        (claims(sub="a\0b"), "NUL"),
        (claims(sub="\ud800"), "surrogate"),
        (claims(acl=None), "acl is malformed"),
        (claims(acl={}), "acl is malformed"),
        (claims(acl={"paths": {"/x": {"filters": {"a": json.loads("[" * 900 + "]" * 900)}}}}), "acl is malformed"),
    ],
)
def test_claims_that_are_wrong_are_refused_with_the_reason(key_pair: KeyPair, payload: object, reason: str) -> None:
    error = refusal(make_auth(key_pair), signed(key_pair, payload))
    assert error.code == INVALID
    assert reason in error.description


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": "JWT"}, "RS256"),
        ({"alg": None}, "RS256"),
        ({"alg": "none"}, "RS256"),
        ({"alg": "rs256"}, "RS256"),
        ({"alg": ["RS256"]}, "RS256"),
        *(({"alg": alg}, "RS256") for alg in ("HS256", "ES256", "PS256", "RS384", "RS512", "EdDSA")),
        ({"alg": "RS256", "typ": "at+jwt"}, "typ"),
        ({"alg": "RS256", "typ": None}, "typ"),
        ({"alg": "RS256", "typ": ["JWT"]}, "typ"),
        ({"alg": "RS256", "crit": ["exp"]}, None),
        ({"alg": "RS256", "crit": ["x"], "x": 1}, None),
        ({"alg": "RS256", "crit": ["b64"], "b64": True}, None),
        ({"alg": "RS256", "crit": ["b64"], "b64": False}, None),
        ({"alg": "RS256", "crit": []}, None),
    ],
)
def test_headers_other_than_of_an_rs256_token_are_refused(key_pair: KeyPair, header: object, reason: str | None) -> None:
    error = refusal(make_auth(key_pair), signed(key_pair, claims(), header))
    assert error.code == INVALID
    assert reason is None or reason in error.description


def test_the_public_key_is_not_taken_for_a_shared_secret(key_pair: KeyPair) -> None:
    for alg in ("HS256", "RS256"):
        body = f"{segment({'alg': alg, 'typ': 'JWT'})}.{segment(claims())}"
        assert refusal(make_auth(key_pair), f"{body}.{segment(hmac.digest(key_pair[1].encode(), body.encode(), 'sha256'))}").code == INVALID


def test_a_token_without_a_signature_is_refused(key_pair: KeyPair) -> None:
    for header in (HEADER, {"alg": "none"}):
        assert refusal(make_auth(key_pair), f"{segment(header)}.{segment(claims())}.").code == INVALID


GARBAGE = {
    "nothing": "",
    "one dot": ".",
    "two dots": "..",
    "three dots": "...",
    "a word": "token",
    "two parts": "eyJhbGciOiJSUzI1NiJ9.e30",
    "five parts": "a.b.c.d.e",
    "no base64": "!!!.???.***",
    "a lone surrogate": "\ud800.\ud800.\ud800",
    "other digits": "\u0661.\u0662.\u0663",
    "a NUL": "\0.\0.\0",
    "too long": "x" * (MAX_TOKEN + 1),
    "as long as may be": "x" * MAX_TOKEN,
    "header no object": f"{segment([])}.{segment(claims())}.AAAA",
    "header no JSON": f"{segment(b'{')}.{segment(claims())}.AAAA",
    "header not UTF-8": f"{segment(bytes([0xFF, 0xFE, 0xFD]))}.{segment(claims())}.AAAA",
    "header deep": f"{segment(b'[' * 5000)}.{segment(claims())}.AAAA",
    "payload deep": f"{segment(HEADER)}.{segment(b'[' * 5000)}.AAAA",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_refused(key_pair: KeyPair, kind: str) -> None:
    assert refusal(make_auth(key_pair), GARBAGE[kind]).code == INVALID


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"12",
        b"{",
        b"\xff\xfe",
        b'{"application_id": "app-1", "iat": ' + b"9" * 5000 + b"}",
        b'{"application_id": "app-1", "x": ' + b"[" * 5000 + b"}",
        b'{"application_id": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=lambda payload: repr(payload[:50]),
)
def test_payloads_that_are_no_claims_are_refused_although_signed(key_pair: KeyPair, payload: bytes) -> None:
    assert refusal(make_auth(key_pair), signed(key_pair, payload)).code == INVALID


def test_what_nobody_reads_may_nest_as_it_likes(key_pair: KeyPair) -> None:
    assert make_auth(key_pair).verify(signed(key_pair, claims(other=json.loads("[" * 300 + "]" * 300)))).is_admin


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
odd_claims = st.dictionaries(st.sampled_from(["exp", "iat", "nbf", "sub", "acl", "jti", "aud", "iss", "x"]), json_values, max_size=4)
odd_headers = st.dictionaries(st.sampled_from(["alg", "typ", "crit", "kid", "b64", "cty", "x"]), json_values, max_size=4)
odd_tokens = st.one_of(
    st.text(),
    st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")),
    st.lists(st.binary(max_size=30).map(segment), max_size=5).map(".".join),
    st.tuples(json_values | odd_headers, json_values | odd_claims, st.binary(max_size=256)).map(
        lambda parts: ".".join(map(segment, parts))
    ),
)


@settings(deadline=None)
@given(odd_tokens)
def test_no_token_that_nobody_signed_is_taken_or_breaks_anything(key_pair: KeyPair, token: str) -> None:
    refusal(make_auth(key_pair), token)


@settings(deadline=None)
@given(odd_claims, odd_headers)
def test_whatever_is_signed_is_taken_or_refused_and_breaks_nothing(
    key_pair: KeyPair, changes: dict[str, Any], header: dict[str, Any]
) -> None:
    try:
        principal = make_auth(key_pair).verify(signed(key_pair, claims(**changes), {**HEADER, **header}))
    except Unauthenticated:
        pass
    else:
        assert principal.user_name == changes.get("sub")
        assert principal.is_admin is ("sub" not in changes)


@settings(deadline=None)
@given(st.data())
def test_a_token_with_one_character_changed_is_refused(key_pair: KeyPair, data: st.DataObject) -> None:
    token = signed(key_pair, claims(sub="ana"))
    place = data.draw(st.integers(0, len(token) - 2))
    other = data.draw(st.characters(max_codepoint=127).filter(lambda character: character != token[place]))
    assert refusal(make_auth(key_pair), token[:place] + other + token[place + 1 :]).code == INVALID


# When a token ends


def test_a_token_ends_at_exp_without_leeway(key_pair: KeyPair) -> None:
    token = signed(key_pair, claims())
    assert make_auth(key_pair, NOW + 899.9).verify(token)
    for late in (900, 930, 10**6):
        assert refusal(make_auth(key_pair, NOW + late), token).code == EXPIRED


def test_a_token_without_exp_ends_fifteen_minutes_after_iat(key_pair: KeyPair) -> None:
    token = signed(key_pair, claims("exp", iat=str(NOW)))
    assert make_auth(key_pair, NOW + 899).verify(token).expires_at == datetime.fromtimestamp(NOW + 900, UTC)
    assert refusal(make_auth(key_pair, NOW + 900), token).code == EXPIRED


def test_the_leeway_is_for_clocks_that_are_behind(key_pair: KeyPair) -> None:
    token = signed(key_pair, claims(nbf=NOW + 5))
    assert make_auth(key_pair, NOW, leeway=5).verify(token)
    assert "nbf" in refusal(make_auth(key_pair, NOW, leeway=4), token).description
    assert make_auth(key_pair, NOW + 5, leeway=0).verify(token)


def test_an_expired_token_that_nobody_signed_is_invalid_and_not_expired(key_pair: KeyPair, other_key_pair: KeyPair) -> None:
    assert refusal(make_auth(key_pair, NOW + 901), signed(other_key_pair, claims())).code == INVALID


@settings(deadline=None)
@given(st.lists(st.floats(NOW - 100, NOW + 2000), max_size=12), st.integers(0, 2))
def test_no_remembered_token_is_answered_after_its_end(key_pair: KeyPair, instants: list[float], cache_size: int) -> None:
    clock = Clock()
    auth = JWTAuthenticator({APP: key_pair[1]}, clock=clock, cache_size=cache_size)
    tokens = _three_tokens(key_pair)
    for clock.now in (NOW, *instants):
        for end, token in tokens:
            if clock.now >= end:
                assert refusal(auth, token).code == EXPIRED
            elif clock.now >= NOW:
                assert auth.verify(token).expires_at == datetime.fromtimestamp(end, UTC)


@functools.cache
def _three_tokens(pair: KeyPair) -> list[tuple[float, str]]:
    return [
        (NOW + 900, signed(pair, claims("exp"))),
        (NOW + 60, signed(pair, claims(exp=str(NOW + 60)))),
        (NOW + 0.5, signed(pair, claims(exp=NOW + 0.5))),
    ]


# What is remembered


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signature was looked at."""
    seen: list[str] = []
    decode = jwt.decode

    def spy(token: str, *arguments: Any, **options: Any) -> Any:
        seen.append(token)
        return decode(token, *arguments, **options)

    monkeypatch.setattr(jwt, "decode", spy)
    return seen


def test_a_signature_is_looked_at_once(key_pair: KeyPair, verified: list[str]) -> None:
    auth = make_auth(key_pair)
    token = signed(key_pair, claims())
    assert auth.verify(token) is auth.verify(token)
    assert verified == [token]


def test_a_remembered_token_ends_at_the_same_instant_and_is_forgotten(key_pair: KeyPair, verified: list[str]) -> None:
    clock = Clock()
    auth = JWTAuthenticator({APP: key_pair[1]}, clock=clock)
    token = signed(key_pair, claims())
    for clock.now in (NOW, NOW + 899.999):
        assert auth.verify(token).is_admin
    assert verified == [token]
    clock.now = NOW + 900
    assert refusal(auth, token).code == EXPIRED
    assert verified == [token]
    refusal(auth, token)
    assert verified == [token, token]


def test_refused_tokens_are_not_remembered(key_pair: KeyPair, verified: list[str]) -> None:
    auth = make_auth(key_pair)
    token = signed(key_pair, claims(nbf=NOW + 100))
    refusal(auth, token)
    refusal(auth, token)
    assert verified == [token, token]


def test_the_token_that_was_not_seen_for_longest_is_forgotten_first(key_pair: KeyPair, verified: list[str]) -> None:
    auth = make_auth(key_pair, cache_size=2)
    a, b, c = (signed(key_pair, claims(sub=name)) for name in "abc")
    for token in (a, b, a, c):
        auth.verify(token)
    verified.clear()
    for token in (a, c, b):
        auth.verify(token)
    assert verified == [b]


def test_with_room_for_none_nothing_is_remembered(key_pair: KeyPair, verified: list[str]) -> None:
    auth = make_auth(key_pair, cache_size=0)
    token = signed(key_pair, claims())
    assert auth.verify(token) == auth.verify(token)
    assert len(verified) == 2


def test_several_threads_may_verify_at_once(key_pair: KeyPair) -> None:
    auth = make_auth(key_pair, cache_size=2)
    tokens = [signed(key_pair, claims(sub=str(number))) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            names = list(pool.map(lambda number: auth.verify(tokens[number % 4]).user_name, range(800)))
    finally:
        sys.setswitchinterval(interval)
    assert names == [str(number % 4) for number in range(800)]


# Wiring


def test_keys_are_taken_as_text_bytes_or_objects(key_pair: KeyPair) -> None:
    pem = key_pair[1]
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    old = key.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    for form in (pem, pem.encode(), old, key):
        auth: Authenticator = JWTAuthenticator({APP: form}, clock=Clock())
        assert auth.applications == (APP,)
        assert isinstance(auth, JWTAuthenticator)
        assert auth.verify(signed(key_pair, claims())).is_admin


UNKNOWN_ALGORITHM = f"-----BEGIN PUBLIC KEY-----\nMEswBQYDKgMEA0IA{'BAQE' * 21}BAQ=\n-----END PUBLIC KEY-----\n"


def _pem(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda pair: pair[0], "give the public key"),
        (lambda pair: pair[0].encode(), "give the public key"),
        (lambda pair: loaded(pair[0]), "give the public key"),
        (lambda pair: "public.pem", "not a public key in PEM format"),
        (lambda pair: "", "not a public key in PEM format"),
        (lambda pair: "\ud800", "not a public key in PEM format"),
        (lambda pair: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key in PEM format"),
        (lambda pair: UNKNOWN_ALGORITHM, "not a public key in PEM format"),
        (lambda pair: _pem(ec.generate_private_key(ec.SECP256R1()).public_key()), "must be an RSA public key"),
        (lambda pair: None, "must be an RSA public key"),
        (lambda pair: _pem(rsa.generate_private_key(65537, 1024).public_key()), "1024 bits and needs 2048"),
    ],
)
def test_keys_that_will_not_do_are_refused_at_once(key_pair: KeyPair, make: Callable[[KeyPair], Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        JWTAuthenticator({APP: make(key_pair)})
    assert "MII" not in str(caught.value)


def test_other_wrong_settings_are_refused_at_once(key_pair: KeyPair) -> None:
    with pytest.raises(ConfigurationError, match="at least one application"):
        JWTAuthenticator({})
    with pytest.raises(ConfigurationError, match="not empty"):
        JWTAuthenticator({"": key_pair[1]})
    for options in ({"leeway": -1}, {"leeway": float("nan")}, {"leeway": float("inf")}, {"cache_size": -1}):
        with pytest.raises(ConfigurationError, match="leeway of 0 or more"):
            make_auth(key_pair, **options)


async def test_the_real_clock_is_the_default(key_pair: KeyPair) -> None:
    auth = JWTAuthenticator({APP: key_pair[1]})
    fresh, old = (make_token(key_pair[0], APP, sub="ana", ttl=ttl) for ttl in (60, -60))
    assert (await auth.authenticate(scope(b"Bearer " + fresh.encode()))).user_name == "ana"
    assert refusal(auth, old).code == EXPIRED


# The header


@pytest.mark.parametrize("form", [b"Bearer %s", b"bearer %s", b"BEARER %s", b"Bearer    %s", b"Bearer %s  "])
async def test_the_scheme_has_no_case_and_blanks_do_not_matter(key_pair: KeyPair, form: bytes) -> None:
    token = signed(key_pair, claims(sub="ana")).encode()
    assert (await make_auth(key_pair).authenticate(scope(form % token))).user_name == "ana"


@pytest.mark.parametrize(
    "values",
    [
        (),
        (b"",),
        (b"Bearer",),
        (b"Bearer ",),
        (b"%s",),
        (b"Basic %s",),
        (b"JWT %s",),
        (b" Bearer %s",),
        (b"Bearer\t%s",),
        (b"Bearer %s x",),
        (b"Bearer %s,Bearer %s",),
        (b'Bearer "%s"',),
        (b"Bearer %s\xff",),
        (b"Bearer \xc3\xbc",),
        (b"Bearer %s", b"Bearer %s"),
        (b"Bearer %s", b"Basic eDp5"),
    ],
)
async def test_every_other_header_is_refused(key_pair: KeyPair, values: tuple[bytes, ...]) -> None:
    token = signed(key_pair, claims()).encode()
    with pytest.raises(Unauthenticated) as caught:
        await make_auth(key_pair).authenticate(scope(*(value.replace(b"%s", token) for value in values)))
    assert caught.value.code == INVALID
    assert token.decode() not in caught.value.description


# The host's own users


class Identifier:
    async def __call__(self, scope: Any) -> str:
        await anyio.lowlevel.checkpoint()
        return str(scope["user"])


async def identify_later(scope: Any) -> Any:
    await anyio.lowlevel.checkpoint()
    return scope["user"]


@pytest.mark.parametrize(
    "identify",
    [lambda scope: scope["user"], identify_later, functools.partial(identify_later), lambda scope: identify_later(scope), Identifier()],
)
async def test_the_host_says_who_calls_at_once_or_later(identify: Any) -> None:
    auth: Authenticator = HostAuthenticator(identify)
    assert auth.applications == ("default",)
    assert await auth.authenticate({"user": "ana"}) == Principal("default", "ana")


async def test_a_host_user_is_created_on_first_sight_when_wanted() -> None:
    user = HostUser("ana", "Ana", "https://example.com/a.png")
    auth = HostAuthenticator(lambda scope: user, application_id="shop", create_users=True)
    assert auth.applications == ("shop",)
    assert await auth.authenticate({}) == Principal("shop", "ana", create=True, display_name="Ana", image_url="https://example.com/a.png")


async def test_the_hosts_admin_is_an_admin_and_never_created() -> None:
    assert await HostAuthenticator(lambda scope: ADMIN, create_users=True).authenticate({}) == Principal("default")


@pytest.mark.parametrize("nobody", [None, "", HostUser("")])
async def test_nobody_has_to_log_in(nobody: Any) -> None:
    with pytest.raises(Unauthenticated, match="Log in") as caught:
        await HostAuthenticator(lambda scope: nobody).authenticate({})
    assert caught.value.code == INVALID


@pytest.mark.parametrize("name", ["x" * 256, "a\0b", "\ud800"])
async def test_a_name_that_no_user_can_have_is_refused(name: str) -> None:
    with pytest.raises(Unauthenticated, match="The user's name"):
        await HostAuthenticator(lambda scope: HostUser(name)).authenticate({})


@pytest.mark.parametrize("answer", [True, False, 0, 7, b"ana", ["ana"], {"name": "ana"}, object(), HostUser(7)])  # type: ignore[arg-type]
async def test_any_other_answer_is_a_mistake_of_the_host(answer: Any) -> None:
    with pytest.raises(ConfigurationError, match="identify must answer"):
        await HostAuthenticator(lambda scope: answer).authenticate({})


async def test_what_the_host_raises_goes_through() -> None:
    def identify(scope: Any) -> str:
        raise Unauthenticated("Your session has ended.", "shop:error:session-ended")

    with pytest.raises(Unauthenticated, match="session has ended"):
        await HostAuthenticator(identify).authenticate({})


def test_a_host_authenticator_needs_a_function_and_an_application() -> None:
    with pytest.raises(ConfigurationError, match="function"):
        HostAuthenticator("ana")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="application_id"):
        HostAuthenticator(lambda scope: "ana", application_id="")
