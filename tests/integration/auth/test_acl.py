from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conversation_kit.auth.acl import MAX_PATHS, MAX_PATTERN, PathACL
from conversation_kit.domain.errors import Unauthenticated

USUAL = ("users", "conversations", "sessions", "devices", "image", "media", "applications", "push", "knocking", "legs")


def acl(*patterns: str, **rule: Any) -> PathACL:
    return PathACL.parse({"paths": dict.fromkeys(patterns, rule)})


def matches(pattern: str, path: str) -> bool:
    return acl(pattern).permits("GET", [path], {})


def reference(pattern: str, path: str) -> bool:
    """A second implementation of the rules of docs/auth.md, as slow as they read."""

    def segments(text: str) -> tuple[str, ...]:
        text = text.rstrip("/")
        return tuple(text.removeprefix("/").split("/")) if text else ()

    def fits(globs: tuple[str, ...], rest: tuple[str, ...]) -> bool:
        if not globs:
            return not rest
        if globs[0] == "**":
            return fits(globs[1:], rest) or (bool(rest) and fits(globs, rest[1:]))
        return bool(rest) and (rest[0] != "" if globs[0] == "*" else rest[0] == globs[0]) and fits(globs[1:], rest[1:])

    return fits(segments(pattern), segments(path))


GLOBS: list[tuple[str, str, bool]] = [
    ("/*/conversations/**", "/beta/conversations", True),
    ("/*/conversations/**", "/beta/conversations/", True),
    ("/*/conversations/**", "/beta/conversations/CON-1", True),
    ("/*/conversations/**", "/beta/conversations/CON-1/members/MEM-1", True),
    ("/*/conversations/**", "/v0.1/conversations/CON-1", True),
    ("/*/conversations/**", "/conversations/CON-1", False),
    ("/*/conversations/**", "/a/b/conversations/CON-1", False),
    ("/*/conversations/**", "/beta/conversationsX", False),
    ("/*/conversations/**", "/beta/Conversations", False),
    ("/*/conversations/**", "/beta/users", False),
    ("/v1/users/**", "/v1/users/USR-1", True),
    ("/v1/users/**", "/beta/users/USR-1", False),
    ("/*/users", "/beta/users", True),
    ("/*/users", "/beta/users/", True),
    ("/*/users", "/beta/users//", True),
    ("/*/users/", "/beta/users", True),
    ("/*/users", "/beta/users/USR-1", False),
    ("/*/users/*", "/beta/users/USR-1", True),
    ("/*/users/*", "/beta/users", False),
    ("/*/users/*", "/beta/users/", False),
    ("/*/users/*", "/beta/users/USR-1/conversations", False),
    ("/*/users", "//users", False),
    ("/*", "/", False),
    ("/**", "/", True),
    ("/**", "/beta", True),
    ("/**", "/beta/a//b", True),
    ("/**/events", "/events", True),
    ("/**/events", "/beta/conversations/CON-1/events", True),
    ("/**/events", "/beta/myevents", False),
    ("/**/events/*", "/beta/events/events/1", True),
    ("/**/events/*", "/beta/events/1/2", False),
    ("/a/**/b", "/a/b", True),
    ("/a/**/b", "/a/x/y/b", True),
    ("/a/**/b", "/a/b/x", False),
    ("/a/**/b/**/c", "/a/b/x/b/c", True),
    ("/a/**/b/**/c", "/a/c/b", False),
    ("/**/**/a", "/a", True),
    ("/us*", "/users", False),
    ("/us*", "/us*", True),
    ("/a**", "/ab", False),
    ("/***", "/a", False),
    ("/a.c", "/abc", False),
    ("/a.c", "/a.c", True),
    ("/(a|b)+", "/a", False),
    ("/[a]", "/a", False),
    ("/a?", "/a", False),
    ("/a$", "/a", False),
    ("/a", "/a\n", False),
    ("/*/a", "/x\ny/a", True),
    ("/beta/users?a=1", "/beta/users", False),
    ("/%2A", "/*", False),
    ("beta/users", "/beta/users", True),
    ("/", "/", True),
    ("/", "/beta", False),
    ("", "/beta", False),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), GLOBS)
def test_a_pattern_matches_what_the_rules_say(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected
    assert reference(pattern, path) is expected


def joined(parts: list[str]) -> str:
    return "/" + "/".join(parts)


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from(["a", "b", "*", "**", "**", "", "a*"]), max_size=6).map(joined),
    st.lists(st.sampled_from(["a", "b", "", "ab", "*", "**"]), max_size=7).map(joined),
)
@example("/a/**/b", "/ab/b")
@example("/**/a/**", "//a")
@example("//**", "/")
def test_the_matcher_equals_a_naive_one(pattern: str, path: str) -> None:
    assert matches(pattern, path) == reference(pattern, path)


@given(st.text(alphabet="ab*/", max_size=12), st.text(alphabet="ab/", max_size=12))
def test_the_matcher_equals_a_naive_one_on_any_text(pattern: str, path: str) -> None:
    assert matches(pattern, "/" + path) == reference(pattern, "/" + path)


@given(st.text(max_size=40))
def test_a_path_without_stars_matches_itself(path: str) -> None:
    assert matches("/" + path.replace("*", "+"), "/" + path.replace("*", "+"))


@pytest.mark.parametrize("unit", ["/**/a", "/**", "/**/*", "/*/**", "/**/a/*", "/**/a/a", "/*", "/a"])
@pytest.mark.parametrize("path", ["/a" * 4000, "/" + "a" * 8000, "/" * 8000, "/a/" * 2500, "/a" * 4000 + "/" * 4000 + "c"])
def test_no_pattern_takes_long_for_a_path_that_does_not_match(unit: str, path: str) -> None:
    pattern = unit * ((MAX_PATTERN - 2) // len(unit)) + "/b"
    narrow = acl(pattern)
    started = time.process_time()  # of this process, whatever else the machine does
    assert not narrow.permits("GET", [path], {})
    # Trying every way to share the path out among the stars would take years.
    assert time.process_time() - started < 10


def test_any_path_that_an_entry_matches_is_enough() -> None:
    old = acl(*(f"/v1/{name}/**" for name in USUAL))
    assert old.permits("GET", ["/beta/legs", "/v1/legs", "/v0.1/legs"], {})
    assert not old.permits("GET", ["/beta/legs", "/v0.1/legs"], {})
    assert not old.permits("GET", [], {})


def test_the_usual_paths_cover_the_api_and_nothing_else() -> None:
    usual = acl(*(f"/*/{name}/**" for name in USUAL))
    for name in USUAL:
        assert usual.permits("POST", [f"/beta/{name}"], {})
        assert usual.permits("DELETE", [f"/beta/{name}/1/2/3"], {})
    assert not usual.permits("GET", ["/beta/"], {})
    assert not usual.permits("GET", ["/beta/admin"], {})


def test_no_paths_grant_nothing() -> None:
    assert not acl().permits("GET", ["/"], {})


@pytest.mark.parametrize(
    ("rule", "method", "granted"),
    [
        ({}, "GET", True),
        ({}, "PURGE", True),
        ({"methods": ["GET"]}, "GET", True),
        ({"methods": ["get"]}, "GET", True),
        ({"methods": ["GET"]}, "get", True),
        ({"methods": ["GET", "PUT"]}, "PUT", True),
        ({"methods": ["GET"]}, "POST", False),
        ({"methods": ["GET"]}, "GE", False),
        ({"methods": []}, "GET", False),
        ({"methods": [""]}, "GET", False),
        ({"methods": ["*"]}, "GET", False),
        ({"methods": ["FLY"]}, "GET", False),
        ({"methods": ["FLY"]}, "FLY", True),
    ],
)
def test_methods_are_names_compared_without_case(rule: dict[str, Any], method: str, granted: bool) -> None:
    assert PathACL.parse({"paths": {"/x": rule}}).permits(method, ["/x"], {}) is granted


@pytest.mark.parametrize(
    ("wanted", "sent", "granted"),
    [
        ({"from": "447"}, {"from": "447"}, True),
        ({"from": "447"}, {"from": 447}, True),
        ({"from": 447}, {"from": "447"}, True),
        ({"on": True}, {"on": "true"}, True),
        ({"on": "false"}, {"on": False}, True),
        ({"n": 1.5}, {"n": "1.5"}, True),
        ({"from": "447"}, {"from": "447", "to": "1"}, True),
        ({"from": "447", "to": "1"}, {"from": "447"}, False),
        ({"from": "447"}, {}, False),
        ({"from": "447"}, {"From": "447"}, False),
        ({"from": "447"}, {"from": "448"}, False),
        ({"from": "447"}, {"from": " 447"}, False),
        ({"on": True}, {"on": 1}, False),
        ({"n": 1}, {"n": True}, False),
        ({"from": "None"}, {"from": None}, False),
        ({"from": ""}, {"from": None}, False),
        ({"from": ""}, {"from": ""}, True),
        ({"from": "['447']"}, {"from": ["447"]}, False),
        ({"from": "{}"}, {"from": {}}, False),
        ({}, {}, True),
    ],
)
def test_filters_compare_the_text_of_fields_and_deny_what_is_missing(wanted: Any, sent: Any, granted: bool) -> None:
    narrow = acl("/x", filters=wanted)
    assert narrow.permits("POST", ["/x"], sent) is granted
    assert narrow.reads_fields is bool(wanted)


def test_one_entry_that_holds_in_every_respect_grants() -> None:
    mixed = PathACL.parse({"paths": {"/x": {"methods": ["GET"]}, "/*": {"filters": {"a": "1"}}, "/y": {"methods": []}}})
    assert mixed.permits("GET", ["/x"], {})
    assert mixed.permits("POST", ["/x"], {"a": "1"})
    assert not mixed.permits("POST", ["/x"], {"a": "2"})
    assert not mixed.permits("GET", ["/y"], {})
    assert mixed.permits("GET", ["/y"], {"a": "1"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["paths", "methods", "filters", "/x", "a"]), inner, max_size=3)
    ),
)


@given(json_values | st.fixed_dictionaries({"paths": st.dictionaries(st.text(max_size=5), json_values, max_size=3)}), json_values)
def test_any_claim_is_an_acl_or_unauthenticated(claim: Any, field: Any) -> None:
    try:
        parsed = PathACL.parse(claim)
    except Unauthenticated:
        return
    assert parsed.permits("GET", ["/x"], {"a": field}) in (True, False)


def test_the_caps_are_inclusive() -> None:
    full: dict[str, Any] = {"/" + "x" * (MAX_PATTERN - 1): {}, **{f"/{number}": {} for number in range(MAX_PATHS - 1)}}
    assert PathACL.parse({"paths": full}).permits("GET", ["/98"], {})
    too_much: list[dict[str, Any]] = [{**full, "/y": {}}, {"/" + "x" * MAX_PATTERN: {}}]
    for broken in too_much:
        with pytest.raises(Unauthenticated, match="acl is malformed"):
            PathACL.parse({"paths": broken})
