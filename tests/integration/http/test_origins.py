"""Origins and base URLs that a host sets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation_kit import ConfigurationError, ConversationKit, HostAuthenticator
from conversation_kit.http.serving.origins import check_allowed, origin_of


def make(**settings: Any) -> ConversationKit:
    return ConversationKit(storage="memory://", auth=HostAuthenticator(lambda scope: None), **settings)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/beta",
        "chat.example.com/beta",
        "chat.example.com:443/beta",
        "javascript:alert(1)",
        "https:///beta",
        "https://:443/beta",
        "ftp://chat.example/beta",
        "wss://chat.example/beta",
        "https://chat.example:port/beta",
        "https://chat.example:99999/beta",
        "https://ana:secret@chat.example/beta",
        "https://chat.example/beta?x=1",
        "https://chat.example/beta#x",
        "https://chat.example/be ta",
        "https://chat.example/beta\n",
        "https://[chat/beta",
        b"https://chat.example/beta",
        7,
    ],
)
def test_a_public_url_that_clients_cannot_go_to_is_refused(url: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"public_url= takes .* such as https://chat\.example\.com/beta"):
        make(public_url=url)


@pytest.mark.parametrize("url", ["https://chat.example/beta", "http://localhost:8000/beta/", "https://chat.example", "http://[::1]:8000/b"])
def test_a_public_url_has_a_scheme_and_a_host(url: str) -> None:
    assert make(public_url=url)


@pytest.mark.parametrize(
    "origins",
    [
        "https://shop.example",
        b"https://shop.example",
        ["*"],
        [""],
        ["null"],
        ["shop.example"],
        ["shop.example:443"],
        ["//shop.example"],
        ["https://shop.example/path"],
        ["https://shop.example?x=1"],
        ["https://*.shop.example"],
        ["wss://shop.example"],
        ["https://ana@shop.example"],
        [None],
        ["https://shop.example", "*"],
    ],
)
def test_origins_that_no_page_has_are_refused(origins: Any) -> None:
    with pytest.raises(ConfigurationError, match="allowed_origins="):
        make(allowed_origins=origins)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://shop.example/", "https://shop.example"),
        ("HTTPS://Shop.Example:443", "https://shop.example"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_may_be_written_in_several_ways(given: str, sent: str) -> None:
    (origin,) = check_allowed([given])
    assert origin == origin_of(sent)
    assert str(origin) == sent


@given(st.text() | st.from_regex(r"[a-z]{0,5}:?/{0,3}[a-z@\[\].:*]{0,10}(:[0-9]{0,6})?/?", fullmatch=True))
def test_any_text_is_an_origin_or_none_and_reads_back(text: str) -> None:
    origin = origin_of(text)
    if origin is not None:
        assert origin_of(str(origin)) == origin
