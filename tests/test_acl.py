from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conversation_kit.acl import MAX_PATHS, MAX_PATTERN, PathACL
from conversation_kit.domain.errors import Unauthenticated
from conversation_kit.domain.principals import ACL

USUAL = ("users", "conversations", "sessions", "devices", "image", "media", "applications", "push", "knocking", "legs")


def acl(*patterns: str, **rule: Any) -> PathACL:
    return PathACL.parse({"paths": dict.fromkeys(patterns, rule)})


def permits(pattern: str, path: str) -> bool:
    return acl(pattern).permits("GET", [path], {})


def naive(pattern: str, path: str) -> bool:
    """What the rules say, word by word and as slow as it gets."""

    def fits(patterns: list[str], segments: list[str]) -> bool:
        if not patterns:
            return not segments
        first, *rest = patterns
        if first == "**":
            return any(fits(rest, segments[taken:]) for taken in range(len(segments) + 1))
        if not segments:
            return False
        return (segments[0] != "" if first == "*" else first == segments[0]) and fits(rest, segments[1:])

    def split(text: str) -> list[str]:
        text = text.rstrip("/")
        return text.removeprefix("/").split("/") if text else []

    return fits(split(pattern), split(path))


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/*/users/**", "/beta/users"),
        ("/*/users/**", "/beta/users/USR-1/conversations"),
        ("/v1/users/**", "/v1/users/USR-1"),
        ("/*/conversations/*", "/beta/conversations/CON-1"),
        ("/**", "/"),
        ("/**", "/beta/anything/at/all"),
        ("/**/events", "/events"),
        ("/**/events", "/beta/conversations/CON-1/events"),
        ("/**/a/**/b", "/x/a/a/y/b"),
        ("/a*", "/a*"),
        ("/a.c", "/a.c"),
        ("users/**", "/users/USR-1"),
        ("/*/users/", "/beta/users"),
        ("/*/users", "/beta/users/"),
        ("/", "/"),
        ("/*/a\nb", "/beta/a\nb"),
        ("/*/ü", "/beta/ü"),
    ],
)
def test_a_pattern_matches_what_it_stands_for(pattern: str, path: str) -> None:
    assert permits(pattern, path)
    assert naive(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/*/users/**", "/users/USR-1"),
        ("/*/users/**", "/beta/users2"),
        ("/*/users/**", "/beta/v1/users"),
        ("/*/users/**", "/beta/Users"),
        ("/*/users/*", "/beta/users"),
        ("/*/users/*", "/beta/users/USR-1/conversations"),
        ("/*/users", "//users"),
        ("/**/a/b", "/x/ab"),
        ("/**/a/**/b", "/ac/b"),
        ("/a*", "/ab"),
        ("/a**", "/ab/c"),
        ("/a.c", "/abc"),
        ("/[ab]", "/a"),
        ("/a|/b", "/b"),
        ("/beta/users", "/beta/users\n"),
        ("/", "/beta"),
        ("", "/beta"),
        ("/beta/users", "/beta/users?x=1"),
    ],
)
def test_a_pattern_matches_nothing_else(pattern: str, path: str) -> None:
    assert not permits(pattern, path)
    assert not naive(pattern, path)


segments = st.sampled_from(["a", "b", "ab", "", "a*", "*"])
paths = st.lists(segments, max_size=7).map(lambda parts: "/" + "/".join(parts))
patterns = st.lists(st.one_of(segments, st.sampled_from(["*", "**", "**"])), max_size=7).map(lambda parts: "/" + "/".join(parts))


@settings(deadline=None)
@given(patterns, paths)
@example("/**/a/**", "/ab/a")
@example("/**/a/**/a", "/a")
@example("/a/**/b", "/ab/b")
@example("/**/**", "//")
@example("//**", "/")
@example("/a//**", "/a/")
@example("/**/a/**", "//a")
@example("/**", "//a")
def test_the_matcher_agrees_with_a_naive_one(pattern: str, path: str) -> None:
    assert permits(pattern, path) == naive(pattern, path)


@settings(deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_the_matcher_agrees_with_a_naive_one_on_any_text(pattern: str, path: str) -> None:
    assert permits(pattern, "/" + path) == naive(pattern, "/" + path)


@pytest.mark.parametrize("unit", ["/**", "/**/*", "/**/a", "/**/a/*", "/**/*/a"])
def test_no_pattern_takes_long_for_a_path_that_does_not_match(unit: str) -> None:
    pattern = unit * ((MAX_PATTERN - 2) // len(unit)) + "/b"
    list_ = acl(pattern)
    started = time.perf_counter()
    assert not list_.permits("GET", ["/a" * 500], {})
    assert time.perf_counter() - started < 0.5


def test_any_one_of_several_entries_and_paths_is_enough() -> None:
    usual = acl(*(f"/v1/{name}/**" for name in USUAL))
    assert usual.permits("POST", ["/beta/legs", "/v1/legs", "/v0.1/legs"], {})
    assert not usual.permits("POST", ["/beta/legs", "/v0.1/legs"], {})
    assert not usual.permits("POST", [], {})


def test_a_list_without_paths_grants_nothing() -> None:
    assert not acl().permits("GET", ["/"], {})


def test_methods_are_compared_without_case_and_their_absence_allows_all() -> None:
    assert acl("/x").permits("DELETE", ["/x"], {})
    reader = acl("/x", methods=["get", "HEAD"])
    assert reader.permits("GET", ["/x"], {})
    assert reader.permits("head", ["/x"], {})
    assert not reader.permits("POST", ["/x"], {})
    assert not reader.permits("GET", ["/y"], {})


def test_an_empty_list_of_methods_allows_none() -> None:
    assert not acl("/x", methods=[]).permits("GET", ["/x"], {})


def test_a_broad_entry_grants_what_a_narrow_one_does_not() -> None:
    list_ = PathACL.parse({"paths": {"/x": {"methods": ["GET"]}, "/*": {"methods": ["POST"]}, "/x/**": {"filters": {"a": "1"}}}})
    assert list_.permits("POST", ["/x"], {})
    assert list_.permits("DELETE", ["/x"], {"a": "1"})
    assert not list_.permits("DELETE", ["/x"], {"a": "2"})


@pytest.mark.parametrize(
    ("wanted", "given_", "granted"),
    [
        ("447", "447", True),
        ("447", 447, True),
        (447, "447", True),
        (True, True, True),
        ("true", True, True),
        (True, 1, False),
        (1, True, False),
        (1, 1.0, False),
        ("447", "448", False),
        ("447", None, False),
        ("None", None, False),
        ("['447']", ["447"], False),
        ("{}", {}, False),
        ("", "", True),
    ],
)
def test_a_filter_holds_for_the_same_text_only(wanted: Any, given_: Any, granted: bool) -> None:
    assert acl("/x", filters={"from": wanted}).permits("POST", ["/x"], {"from": given_}) is granted


def test_every_filter_has_to_hold_and_a_missing_target_denies() -> None:
    both = acl("/x", filters={"from": "447", "to": "448"})
    assert both.permits("POST", ["/x"], {"from": "447", "to": "448", "more": 1})
    assert not both.permits("POST", ["/x"], {"from": "447"})
    assert not both.permits("POST", ["/x"], {})


def test_fields_are_read_only_when_there_are_filters() -> None:
    plain: ACL = acl("/x", methods=["GET"], filters={})
    assert not plain.reads_fields
    assert plain.permits("GET", ["/x"], {})
    assert acl("/x", filters={"from": "447"}).reads_fields


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "claim",
    [
        None,
        [],
        "everything",
        1,
        {},
        {"paths": None},
        {"paths": ["/*/users/**"]},
        {"paths": {"/x": None}},
        {"paths": {"/x": True}},
        {"paths": {"/x": ["GET"]}},
        {"paths": {"/x": {"methods": None}}},
        {"paths": {"/x": {"methods": "GET"}}},
        {"paths": {"/x": {"methods": {}}}},
        {"paths": {"/x": {"methods": ["GET", 1]}}},
        {"paths": {"/x": {"method": ["GET"]}}},
        {"paths": {"/x": {"filters": None}}},
        {"paths": {"/x": {"filters": ["from"]}}},
        {"paths": {"/x": {"filters": {"from": None}}}},
        {"paths": {"/x": {"filters": {"from": {"a": 1}}}}},
        {"paths": {"/x": {"filters": {"from": nested(500)}}}},
        {"paths": {"/" + "x" * MAX_PATTERN: {}}},
        {"paths": {f"/{number}": {} for number in range(MAX_PATHS + 1)}},
    ],
)
def test_a_malformed_claim_is_refused(claim: Any) -> None:
    with pytest.raises(Unauthenticated, match="acl is malformed") as caught:
        PathACL.parse(claim)
    assert caught.value.code == "system:error:invalid-token"


def test_the_largest_claim_is_taken() -> None:
    longest: dict[str, Any] = {f"/{number:03}" + "/**" * 165: {} for number in range(MAX_PATHS - 1)} | {"/" + "x" * (MAX_PATTERN - 1): {}}
    assert PathACL.parse({"paths": longest}).permits("GET", ["/007/a/b"], {})
