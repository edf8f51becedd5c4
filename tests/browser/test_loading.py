"""Before a page is there: what it asks for, what it says meanwhile, and what it says of an address that is none of its own."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from playwright.sync_api import Route, expect

from tests.browser.demo import NARROW, Demo, People

pytestmark = pytest.mark.slow

STATIC = files("conversation_kit.demo") / "static"
PAGES = ("chat", "index", "operator", "pair")


def modules(name: str) -> set[str]:
    """A module and all that it imports."""
    text = (STATIC / name).read_text()
    return {name}.union(*(modules(imported) for imported in re.findall(r'from "\./([a-z_]+\.js)"', text)))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_all_of_its_modules_at_once(page: str) -> None:
    text = (STATIC / f"{page}.html").read_text()
    preloaded = re.findall(r'<link rel="modulepreload" href="static/([a-z_]+\.js)">', text)
    assert len(preloaded) == len(set(preloaded))
    assert {*preloaded, f"{page}.js"} == modules(f"{page}.js")
    assert f"{page}.js" not in preloaded


@pytest.mark.parametrize("viewport", [None, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_that_it_loads_until_its_modules_are_there(
    people: People, demo: Demo, page: str, viewport: dict[str, int] | None
) -> None:
    keys = {"chat": "Ana", "operator": "The operator"}
    # Of two people in one window that is the window itself, without anybody in it.
    address = f"{demo.url}/pair#" if page == "pair" else demo.printed.home if page == "index" else demo.printed.links[keys[page]]
    held: list[Route] = []
    opened = people.open("about:blank", **({"viewport": viewport} if viewport else {}))
    opened.route("**/static/dom.js", lambda route: held.append(route))
    opened.goto(address, wait_until="commit")
    expect(opened.get_by_text("Loading…")).to_be_visible()
    for route in held:
        route.continue_()
    expect(opened.get_by_text("Loading…")).to_be_hidden()


@pytest.mark.parametrize("key", ["", "nothing", "%", "%E0%A4%A"])
@pytest.mark.parametrize("page", ["chat", "operator", ""])
def test_a_wrong_key_says_so(people: People, demo: Demo, page: str, key: str) -> None:
    people.expected = [r"status of 401"]
    opened = people.open(f"{demo.url}/{page}#{key}")
    wrong = "This demo does not know the key in this address" if key == "nothing" else "This address is not complete"
    expect(opened.get_by_text(f"{wrong}: open an address that the demo has printed.")).to_be_visible()
    expect(opened.get_by_text("Loading…")).to_be_hidden()


@pytest.mark.parametrize(("page", "who"), [("chat", "The operator"), ("operator", "Ana"), ("", "Ana")])
def test_the_key_of_another_page_says_so(people: People, demo: Demo, page: str, who: str) -> None:
    opened = people.open(f"{demo.url}/{page}#{demo.printed.key(who)}")
    expect(opened.get_by_text("This key is for another page: open an address that the demo has printed.")).to_be_visible()
    expect(opened.get_by_text("Loading…")).to_be_hidden()


def test_a_wrong_key_is_said_in_each_half_of_a_window(people: People, demo: Demo) -> None:
    people.expected = [r"status of 401"]
    opened = people.open(f"{demo.url}/pair#nothing,{demo.printed.key('Bo')}")
    expect(opened.frame_locator("iframe").first.get_by_text("does not know the key")).to_be_visible()
    expect(opened.frame_locator("iframe").last.locator("#who")).to_have_text("Bo")
    empty = people.open(f"{demo.url}/pair")
    expect(empty.get_by_text("This address is not complete")).to_be_visible()
