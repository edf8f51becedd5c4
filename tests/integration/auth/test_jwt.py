from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from uuid import uuid1

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit.auth import JWTAuthenticator
from conversation_kit.auth.claims import DEFAULT_LIFETIME
from conversation_kit.auth.jwt_authenticator import MAX_TOKEN
from conversation_kit.domain.errors import ConfigurationError, Unauthenticated
from conversation_kit.domain.principals import Principal
from tests.support.probes import tokens_known
from tests.support.world import APP, OTHER, keys

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000
RS256 = {"alg": "RS256", "typ": "JWT"}
INVALID, EXPIRED = "system:error:invalid-token", "system:error:expired-token"


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@lru_cache(maxsize=4)
def private_key(application: str) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(keys(application)[0].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@lru_cache(maxsize=1)
def curve_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@lru_cache(maxsize=1)
def small_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(payload: object, header: object = RS256) -> str:
    return f"{part(header)}.{part(payload)}"


def signed(payload: object, header: object = RS256, *, by: str = APP) -> str:
    """Any payload and header, as JSON or as the given bytes, with the right signature of an application."""
    body = unsigned(payload, header)
    return f"{body}.{part(private_key(by).sign(body.encode(), padding.PKCS1v15(), SHA256()))}"


def claims(*without: str, **changes: Any) -> dict[str, Any]:
    usual = {"application_id": APP, "iat": NOW, "jti": "6f1c", "exp": NOW + 600, **changes}
    return {name: value for name, value in usual.items() if name not in without}


def make_auth(clock: Callable[[], float] | None = None, **options: Any) -> JWTAuthenticator:
    return JWTAuthenticator({APP: keys(APP)[1], OTHER: keys(OTHER)[1]}, clock=clock or Clock(), **options)


def scope(*values: bytes) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"host", b"h"), *((b"authorization", value) for value in values)]}


def refused(token: str, code: str = INVALID, *, auth: JWTAuthenticator | None = None) -> None:
    with pytest.raises(Unauthenticated) as caught:
        (auth or make_auth()).verify(token)
    assert caught.value.code == code


# The header


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([b"Bearer GOOD", b"Bearer GOOD"], id="two"),
        pytest.param([b"Basic GOOD"], id="other scheme"),
        pytest.param([b"BearerGOOD"], id="no space"),
        pytest.param([b"GOOD"], id="no scheme"),
        pytest.param([b""], id="empty"),
        pytest.param([b"Bearer"], id="scheme alone"),
        pytest.param([b"Bearer "], id="empty token"),
        pytest.param([b"Bearer GOOD GOOD"], id="two tokens"),
        pytest.param([b"Bearer GOOD, Bearer GOOD"], id="two joined by a proxy"),
        pytest.param([b"Bearer\tGOOD"], id="a tab"),
        pytest.param([b"Bearer GOOD\xff"], id="Latin-1"),
        pytest.param(["Bearer GOODü".encode()], id="UTF-8"),
        pytest.param([b"Bearer \xa0"], id="a space that is none"),
        pytest.param([b"Bearer junk"], id="garbage"),
    ],
)
async def test_a_header_that_is_not_one_bearer_token_is_refused(values: list[bytes]) -> None:
    good = signed(claims()).encode()
    with pytest.raises(Unauthenticated) as caught:
        await make_auth().authenticate(scope(*(value.replace(b"GOOD", good) for value in values)))
    assert caught.value.code == INVALID


@pytest.mark.parametrize("before", [b"Bearer ", b"bearer ", b"BEARER ", b"Bearer   "])
async def test_the_scheme_is_compared_without_case(before: bytes) -> None:
    principal = await make_auth().authenticate(scope(before + signed(claims(sub="ana")).encode()))
    assert (principal.application_id, principal.user_name) == (APP, "ana")


# Broken tokens


def having(**changes: Any) -> Callable[[], str]:
    return lambda: signed(claims(**changes))


def paying(payload: bytes) -> Callable[[], str]:
    return lambda: signed(payload)


def headed(header: object) -> Callable[[], str]:
    return lambda: signed(claims(), header)


NO_TIMES: list[Any] = [
    *(None, True, False, [], [NOW], {}, "", "soon", "-1", "1e9", "0x7", " 1", "\u0661", "1.", "nan", "inf"),
    *(float("nan"), float("inf"), float("-inf"), -1, -0.5, NOW * 1000, str(NOW * 1000), NOW * 1000.5, 10**11, 1e300),
]
NO_RULES: list[Any] = [
    *(None, True, [], "GET", {"methods": None}, {"methods": "GET"}, {"methods": {}}, {"methods": [1]}, {"methods": [["GET"]]}),
    *({"method": ["GET"]}, {"expires": 1}, {"filters": None}, {"filters": []}, {"filters": "a"}),
    *({"filters": {"a": None}}, {"filters": {"a": []}}, {"filters": {"a": {"b": 1}}}),
]
NO_ACLS: list[Any] = [
    *(None, True, 0, "", "all", [], {}, {"path": {}}, {"paths": None}, {"paths": []}, {"paths": "/**"}),
    *({"paths": {"/**": rule}} for rule in NO_RULES),
    {"paths": {"/" + "a" * 500: {}}},
    {"paths": {f"/{number}": {} for number in range(101)}},
]
NO_NAMES: list[Any] = [None, "", 0, 7, True, ["ana"], {}, "x" * 256, "a\0b", "\ud800"]
NO_APPLICATIONS: list[Any] = [None, "", 1, True, [APP], {APP: 1}, APP.upper(), APP + "\0", "nobody's"]
NO_CLAIMS = [b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff", b"NaN", b"[{}]"]
NO_HEADERS: list[Any] = [
    *(b"", b"null", b"[]", b"{", b"\xff", b"[" * 5000),
    *({"typ": "JWT"}, {"alg": "none"}, {"alg": None}, {"alg": ["RS256"]}, {"alg": "rs256"}),
    *({"alg": "RS256", "typ": "at+jwt"}, {"alg": "RS256", "typ": None}, {"alg": "RS256", "typ": ["JWT"]}),
    *({**RS256, "crit": ["exp"]}, {**RS256, "crit": []}, {**RS256, "crit": ["b64"], "b64": False}),
]

BROKEN: Mapping[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "a word": lambda: "garbage",
    "two dots": lambda: "..",
    "two dots of junk": lambda: "junk.junk.junk",
    "two dots of other junk": lambda: "{}.[].\x00",
    "not ASCII": lambda: "ü.ü.ü",
    "half a surrogate pair": lambda: "\ud800",
    "a part missing": lambda: unsigned(claims()),
    "no signature": lambda: unsigned(claims()) + ".",
    "a part too many": lambda: signed(claims()) + ".AAAA",
    "alg none, unsigned": lambda: unsigned(claims(), {"alg": "none", "typ": "JWT"}) + ".",
    "HS256 with the public key": lambda: hs256(),
    "ES256": lambda: jwt.encode(claims(), curve_key(), algorithm="ES256"),
    "RS512": lambda: jwt.encode(claims(), private_key(APP), algorithm="RS512"),
    "PS256": lambda: jwt.encode(claims(), private_key(APP), algorithm="PS256"),
    "an elliptic signature called RS256": lambda: f"{unsigned(claims())}.{part(curve_key().sign(b'x', ec.ECDSA(SHA256())))}",
    "an unknown key": lambda: f"{unsigned(claims())}.{part(small_key().sign(unsigned(claims()).encode(), padding.PKCS1v15(), SHA256()))}",
    "another application's key": lambda: signed(claims(), by=OTHER),
    "claimed for the other application": lambda: signed(claims(application_id=OTHER), by=APP),
    "no application": lambda: signed(claims("application_id")),
    "a deep payload": paying(b"[" * 5000 + b"]" * 5000),
    "a deep claim": paying(b'{"application_id":"app-1","exp":9e9,"x":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "a huge integer that nobody reads": paying(b'{"application_id":"app-1","exp":9e9,"x":' + b"9" * 5000 + b"}"),
    "a huge integer as exp": having(exp=10**400),
    "neither exp nor iat": lambda: signed(claims("exp", "iat")),
    "iat in the future": having(iat=NOW + 61),
    "iat in the future, as text": having(iat=str(NOW + 61)),
    "nbf in the future": having(nbf=NOW + 61),
    **{f"application_id {value!r}": having(application_id=value) for value in NO_APPLICATIONS},
    **{f"payload {payload!r}": paying(payload) for payload in NO_CLAIMS},
    **{f"header {header!r:.60}": headed(header) for header in NO_HEADERS},
    **{f"sub {value!r:.20}": having(sub=value) for value in NO_NAMES},
    **{f"{name} {value!r}": having(**{name: value}) for name in ("exp", "iat", "nbf") for value in NO_TIMES},
    **{f"acl {value!r:.60}": having(acl=value) for value in NO_ACLS},
}


def hs256() -> str:
    body = unsigned(claims(), {"alg": "HS256", "typ": "JWT"})
    return f"{body}.{part(hmac.digest(keys(APP)[1].encode(), body.encode(), 'sha256'))}"


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_token_is_unauthenticated_and_nothing_else(kind: str) -> None:
    refused(BROKEN[kind]())


@pytest.mark.parametrize(
    "payload",
    [
        claims(exp=NOW),
        claims(exp=NOW - 1),
        claims(exp=0),
        claims(exp=-0.0),
        claims(exp=str(NOW)),
        claims(exp=f"{NOW - 1}.999"),
        claims("exp", iat=NOW - DEFAULT_LIFETIME),
        claims("exp", iat=0),
        claims(exp=NOW, sub=""),
    ],
    ids=str,
)
def test_an_expired_token_is_told_so_without_leeway(payload: dict[str, Any]) -> None:
    refused(signed(payload), EXPIRED, auth=make_auth(leeway=3600))


def test_a_forged_token_is_not_told_that_it_has_expired() -> None:
    refused(signed(claims(exp=NOW - 1), by=OTHER))


def test_a_token_may_have_16_kb_and_no_more() -> None:
    sizes = {len(token): token for token in (signed(claims(pad="x" * size)) for size in range(11_700, 12_000))}
    longest = max(size for size in sizes if size <= MAX_TOKEN)
    shortest = min(size for size in sizes if size > MAX_TOKEN)
    assert make_auth().verify(sizes[longest]).is_admin
    refused(sizes[shortest])
    refused("x" * 1_000_000)


# Tokens of real clients


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(claims("exp", jti=str(uuid1())), id="the Node SDK: no exp, a jti of version 1"),
        pytest.param(claims("exp", "jti"), id="no jti"),
        pytest.param(claims("iat"), id="no iat"),
        pytest.param(claims(issued_at=NOW, issuedAt=NOW, ttl=9, x={"y": [None]}), id="extra claims"),
        pytest.param(claims(aud="somebody else", iss=1), id="aud and iss"),
        pytest.param(claims(exp=str(NOW + 1)), id="exp as text"),
        pytest.param(claims("exp", iat=str(NOW - 1)), id="iat as text"),
        pytest.param(claims(exp=NOW + 0.5, iat=NOW - 0.5), id="fractions"),
        pytest.param(claims(exp=99_999_999_999), id="the last second"),
        pytest.param(claims(iat=NOW + 60, nbf=NOW + 60), id="a clock that is a minute fast"),
        pytest.param(claims(iat=0), id="made long ago"),
    ],
)
def test_tokens_of_real_clients_are_accepted(payload: dict[str, Any]) -> None:
    principal = make_auth().verify(signed(payload))
    assert (principal.application_id, principal.is_admin, principal.acl, principal.trusted, principal.create) == (
        APP,
        True,
        None,
        False,
        False,
    )


@pytest.mark.parametrize("header", [{"alg": "RS256"}, {"alg": "RS256", "typ": "jwt"}, {**RS256, "kid": "1", "x": [1]}])
def test_headers_of_real_clients_are_accepted(header: dict[str, Any]) -> None:
    assert make_auth().verify(signed(claims(), header)).is_admin


@pytest.mark.parametrize("name", ["ana", "a b", "ü", "x" * 255, "admin", " "])
def test_a_token_with_sub_is_the_users_of_that_name(name: str) -> None:
    principal = make_auth().verify(signed(claims(sub=name)))
    assert principal.user_name == name
    assert not principal.is_admin


def test_a_token_ends_at_exp_or_15_minutes_after_iat() -> None:
    auth = make_auth()
    for payload, end in ((claims(), NOW + 600), (claims("exp", iat=NOW - 10), NOW + 890), (claims("exp", iat=f"{NOW}.5"), NOW + 900.5)):
        expires_at = auth.verify(signed(payload)).expires_at
        assert expires_at is not None
        assert expires_at.timestamp() == end


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_the_leeway_is_how_far_a_time_may_lie_in_the_future(name: str) -> None:
    assert make_auth(leeway=5).verify(signed(claims(**{name: NOW + 5}))).is_admin
    refused(signed(claims(**{name: NOW + 5.1})), auth=make_auth(leeway=5))
    assert make_auth(leeway=0).verify(signed(claims(**{name: NOW}))).is_admin
    refused(signed(claims(**{name: NOW + 1})), auth=make_auth(leeway=0))


def test_an_acl_is_carried_by_the_principal() -> None:
    acl = make_auth().verify(signed(claims(sub="ana", acl={"paths": {"/*/users/**": {"methods": ["GET"]}}}))).acl
    assert acl is not None
    assert acl.permits("GET", ["/beta/users/USR-1"], {})
    assert not acl.permits("POST", ["/beta/users"], {})


# Applications and their keys


def test_each_application_is_known_by_its_own_key() -> None:
    auth = make_auth()
    assert tuple(auth.applications) == (APP, OTHER)
    for application in (APP, OTHER):
        assert auth.verify(signed(claims(application_id=application), by=application)).application_id == application


def test_a_key_may_be_text_bytes_or_an_object() -> None:
    public = private_key(APP).public_key()
    pkcs1 = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    for key in (keys(APP)[1], keys(APP)[1].encode(), public, pkcs1, "\n\n" + keys(APP)[1].replace("\n", "\r\n")):
        assert JWTAuthenticator({APP: key}, clock=Clock()).verify(signed(claims())).application_id == APP


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: keys(APP)[0], "private key"),
        (lambda: keys(APP)[0].encode(), "private key"),
        (lambda: private_key(APP), "private key"),
        (lambda: private_pem(curve_key()), "private key"),
        (lambda: public_pem(curve_key()), "RSA"),
        (lambda: curve_key().public_key(), "RSA"),
        (lambda: public_pem(small_key()), "1024 bits"),
        (lambda: small_key().public_key(), "1024 bits"),
        (lambda: None, "is None"),
        (lambda: "", "PEM"),
        (lambda: b"", "PEM"),
        (lambda: "junk", "PEM"),
        (lambda: "\ud800", "PEM"),
        (lambda: b"\xff\x00", "PEM"),
        (lambda: keys(APP)[1][:200], "PEM"),
        (lambda: keys(APP)[1].replace("PUBLIC KEY", "CERTIFICATE"), "PEM"),
    ],
)
def test_what_is_no_public_rsa_key_of_2048_bits_is_refused_at_once(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        JWTAuthenticator({OTHER: keys(OTHER)[1], "shop": make()})
    assert "'shop'" in str(caught.value)
    assert "BEGIN" not in str(caught.value)


def test_applications_and_options_that_make_no_sense_are_refused_at_once() -> None:
    for id in ("", None, 1):
        with pytest.raises(ConfigurationError, match="id"):
            JWTAuthenticator({id: keys(APP)[1]})  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="at least one application"):
        JWTAuthenticator({})
    for options in ({"leeway": -1}, {"leeway": float("nan")}, {"leeway": float("inf")}, {"cache_size": -1}):
        with pytest.raises(ConfigurationError, match="leeway"):
            make_auth(**options)


# Users that nobody must take for an admin


LOOK_LIKE_A_USER = [
    *("subject", "Sub", "SUB", "sub ", "sub:", "user", "userName", "user_id", "user-name", "username", "User", "name", "uid", "email"),
    *("preferred_username", "login", "member_id"),
]


@pytest.mark.parametrize("claim", LOOK_LIKE_A_USER)
def test_a_token_with_something_like_a_user_and_no_sub_is_nobodys(claim: str) -> None:
    for value in ("ana", None, ""):
        with pytest.raises(Unauthenticated, match="looks like a user"):
            make_auth().verify(signed(claims(**{claim: value})))
    assert make_auth().verify(signed(claims(sub="ana", **{claim: "bo"}))).user_name == "ana"


@given(st.sampled_from(["sub", "subject", "username", "user"]), st.data())
def test_however_it_is_written_it_makes_no_admin(word: str, data: st.DataObject) -> None:
    case, gap = st.sampled_from([str.lower, str.upper]), st.sampled_from(["", "", "-", "_", " "])
    claim = "".join(data.draw(case)(letter) + data.draw(gap) for letter in word)
    if claim != "sub":
        refused(signed(claims(**{claim: "ana"})))


@pytest.mark.parametrize("claim", ["ACL", "Acl", "acls", "paths", "a_c_l"])
def test_a_misspelt_access_list_is_not_taken_for_none(claim: str) -> None:
    several: list[dict[str, Any]] = [{}, {"sub": "ana"}, {"acl": {"paths": {"/**": {}}}}]
    for more in several:
        refused(signed(claims(**more, **{claim: {"paths": {}}})))


def test_a_key_beside_the_paths_of_an_access_list_makes_the_token_invalid() -> None:
    several: list[dict[str, Any]] = [{"methods": ["GET"]}, {"Paths": {}}, {"expires": 1}]
    for more in several:
        refused(signed(claims(sub="ana", acl={"paths": {"/**": {}}, **more})))


# How long a token may live


def test_a_users_token_needs_an_iat_and_an_admins_does_not() -> None:
    refused(signed(claims("iat", sub="ana")))
    assert make_auth().verify(signed(claims("iat"))).is_admin
    issued = make_auth().verify(signed(claims(sub="ana", iat=NOW - 5))).issued_at
    assert issued is not None
    assert issued.timestamp() == NOW - 5


def test_a_token_may_live_as_long_as_the_host_lets_it() -> None:
    auth = make_auth(max_lifetime=600)
    assert auth.verify(signed(claims(exp=NOW + 600))).is_admin
    for payload in (claims(exp=NOW + 601), claims(exp=NOW + 541, iat=NOW - 60), claims("iat", exp=NOW + 1)):
        refused(signed(payload), auth=auth)
    expires = auth.verify(signed(claims("exp"))).expires_at
    assert expires is not None
    assert expires.timestamp() == NOW + 600
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ConfigurationError, match="max_lifetime"):
            make_auth(max_lifetime=wrong)


# The cache


@pytest.fixture
def rsa_work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signatures were checked."""
    checked: list[str] = []
    decode = jwt.decode

    def counting(token: str, *args: Any, **options: Any) -> Any:
        checked.append(token)
        return decode(token, *args, **options)

    monkeypatch.setattr(jwt, "decode", counting)
    return checked


async def test_a_token_seen_before_costs_no_rsa(rsa_work: list[str]) -> None:
    auth, token = make_auth(), signed(claims(sub="ana"))
    first = await auth.authenticate(scope(b"Bearer " + token.encode()))
    assert await auth.authenticate(scope(b"Bearer " + token.encode())) is first
    assert auth.verify(token) is first
    assert rsa_work == [token]


def test_a_refused_token_is_not_remembered(rsa_work: list[str]) -> None:
    clock = Clock()
    auth, early = make_auth(clock), signed(claims(nbf=NOW + 100))
    refused(early, auth=auth)
    clock.now += 100
    assert auth.verify(early).is_admin
    assert rsa_work == [early, early]


def test_the_cache_keeps_the_tokens_seen_last(rsa_work: list[str]) -> None:
    auth = make_auth(cache_size=2)
    one, two, three = (signed(claims(jti=str(number))) for number in range(3))
    for token in (one, two, one, three, one):
        auth.verify(token)
    assert rsa_work == [one, two, three]
    auth.verify(two)
    assert rsa_work == [one, two, three, two]


def test_the_cache_is_bounded_and_may_be_switched_off(rsa_work: list[str]) -> None:
    tokens = [signed(claims(jti=str(number))) for number in range(5)]
    for size, work in ((0, 10), (1, 10), (4, 10), (5, 5)):
        rsa_work.clear()
        auth = make_auth(cache_size=size)
        for token in tokens * 2:
            auth.verify(token)
            assert tokens_known(auth) <= size
        assert len(rsa_work) == work


def test_an_expired_token_leaves_the_cache() -> None:
    clock = Clock()
    auth, token = make_auth(clock), signed(claims())
    auth.verify(token)
    clock.now = NOW + 600
    refused(token, EXPIRED, auth=auth)
    assert tokens_known(auth) == 0
    refused(token, EXPIRED, auth=auth)


TOKEN = {"by exp": claims(exp=NOW + 50.5), "by iat": claims("exp", iat=NOW - DEFAULT_LIFETIME + 50.5)}


@given(st.sampled_from(sorted(TOKEN)), st.lists(st.floats(NOW, NOW + 101) | st.sampled_from([NOW + 50.5, NOW + 50.499999]), min_size=1))
def test_a_token_is_refused_from_its_end_on_whether_cached_or_not(kind: str, times: list[float]) -> None:
    clock = Clock()
    auth, token = make_auth(clock), once_signed(kind)
    auth.verify(token)
    for clock.now in times:
        if clock.now < NOW + 50.5:
            assert auth.verify(token).is_admin
        else:
            refused(token, EXPIRED, auth=auth)


@lru_cache(maxsize=2)
def once_signed(kind: str) -> str:
    return signed(TOKEN[kind])


@given(st.data())
def test_a_tampered_token_never_hits_the_cache(data: st.DataObject) -> None:
    auth, token = make_auth(), once_signed("by exp")
    auth.verify(token)
    at = data.draw(st.integers(0, len(token) - 1))
    tampered = data.draw(
        st.sampled_from([token[:at], token[:at] + token[at + 1 :], token[:at] + "." + token[at:]])
        | st.characters(codec="utf-8").filter(lambda other: other != token[at]).map(lambda other: token[:at] + other + token[at + 1 :])
    )
    refused(tampered, auth=auth)
    assert auth.verify(token).is_admin


def test_a_payload_swapped_under_a_known_signature_is_refused() -> None:
    auth, token = make_auth(), signed(claims(sub="ana"))
    auth.verify(token)
    header, _, signature = token.split(".")
    refused(f"{header}.{part(claims())}.{signature}", auth=auth)


# Anything at all

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["exp", "iat", "nbf", "sub", "acl", "jti", "aud", "iss", "application_id"]) | st.text(max_size=8)
rules = st.dictionaries(st.sampled_from(["methods", "filters", "x"]), json_values, max_size=2)
acls = st.fixed_dictionaries({"paths": st.dictionaries(st.text(max_size=8), rules | json_values, max_size=2)})
times = st.integers(NOW - 2000, NOW + 2000) | st.floats(NOW - 2000, NOW + 2000) | st.integers(0, 2 * NOW).map(str)
plausible = st.fixed_dictionaries({}, optional={"exp": times, "iat": times, "nbf": times, "sub": st.text(), "acl": acls})


def verdict(auth: JWTAuthenticator, token: str) -> Principal | None:
    refusals: list[str] = []
    principal: Principal | None = None
    try:
        principal = auth.verify(token)
    except Unauthenticated as error:
        refusals.append(error.code)
    assert refusals in ([], [INVALID], [EXPIRED])
    assert isinstance(principal, Principal) is not bool(refusals)
    return principal


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | st.lists(st.binary().map(part), max_size=4).map(".".join))
def test_any_text_is_refused(text: str) -> None:
    assert verdict(make_auth(), text) is None


@given(st.lists(st.binary(), max_size=2))
async def test_any_header_is_refused(values: list[bytes]) -> None:
    for prefix in (b"", b"Bearer "):
        with pytest.raises(Unauthenticated):
            await make_auth().authenticate(scope(*(prefix + value for value in values)))


@given(json_values | st.binary())
def test_any_signed_payload_without_an_application_is_refused(payload: Any) -> None:
    assert verdict(make_auth(), signed(payload)) is None


@given(plausible, st.dictionaries(names, json_values, max_size=3))
def test_any_signed_claims_give_a_principal_or_unauthenticated(good: dict[str, Any], odd: dict[str, Any]) -> None:
    payload = {"application_id": APP, **good, **odd}
    principal = verdict(make_auth(), signed(payload))
    if principal is not None:
        assert principal.application_id == payload["application_id"] == APP
        assert principal.user_name == payload.get("sub")
        assert (principal.acl is None) == ("acl" not in payload)
        assert principal.is_admin == ("sub" not in payload)


@given(st.dictionaries(st.sampled_from(["alg", "typ", "crit", "kid", "b64", "x"]), json_values, max_size=3))
def test_any_signed_header_gives_a_principal_or_unauthenticated(odd: dict[str, Any]) -> None:
    principal = verdict(make_auth(), signed(claims(), {**RS256, **odd}))
    if principal is not None:
        assert "crit" not in odd
        assert odd.get("alg", "RS256") == "RS256"


async def test_one_token_is_remembered_once_however_the_header_is_written(rsa_work: list[str]) -> None:
    auth, token = make_auth(), signed(claims(sub="ana")).encode()
    for number in range(50):
        header = b"BEARER"[: number % 6] + b"bearer"[number % 6 :] + b" " * (1 + number) + token + b" " * (number % 3)
        assert (await auth.authenticate(scope(header))).user_name == "ana"
    assert len(rsa_work) == 1
    assert tokens_known(auth) == 1


@pytest.mark.parametrize("spell", [lambda t: t + "=", lambda t: t + "==", lambda t: t[:-4] + "!" + t[-4:], lambda t: t[:-4] + "." + t[-4:]])
def test_a_signature_has_one_spelling(spell: Callable[[str], str]) -> None:
    refused(spell(signed(claims(sub="ana"))))


def test_the_spare_bits_of_a_signature_are_zero() -> None:
    # 256 bytes are 342 characters of base64url, and four bits of the last one are spare.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token, auth = signed(claims(sub="ana")), make_auth()
    same = alphabet.index(token[-1]) & 0b110000
    for spare in range(1, 16):
        refused(token[:-1] + alphabet[same | spare], auth=auth)
    assert auth.verify(token).user_name == "ana"


def test_an_application_with_many_tokens_leaves_others_theirs(rsa_work: list[str]) -> None:
    auth = make_auth(cache_size=3)
    mine = signed(claims(application_id=OTHER), by=OTHER)
    auth.verify(mine)
    for number in range(10):
        auth.verify(signed(claims(jti=str(number))))
    rsa_work.clear()
    auth.verify(mine)
    assert rsa_work == []
    assert tokens_known(auth) == 4
