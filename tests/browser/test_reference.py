"""The page of the API's documentation, on which its operations can be tried out."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.demo import Demo, People

pytestmark = pytest.mark.slow

LIGHT = re.compile(r"^rgba?\(2\d\d, 2\d\d, 2\d\d")
DARK = re.compile(r"^rgb\(\d\d, \d\d, \d\d\)$")


def tried_out(page: Page, operation: str) -> Locator:
    """An operation, opened and ready to be executed."""
    block = page.locator(".opblock").filter(has=page.get_by_text(operation, exact=True))
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    return block


def execute(block: Locator) -> tuple[int, str]:
    """The status of the answer, and the address that was asked."""
    block.get_by_role("button", name="Execute").click()
    status = block.locator(".live-responses-table tbody .response-col_status").first
    expect(status).to_have_text(re.compile(r"^\s*\d{3}"))
    return int(status.inner_text()[:3]), block.locator(".request-url pre").inner_text()


def authorized(people: People, demo: Demo, who: str) -> Page:
    page = people.open(f"{demo.url}/beta/docs")
    page.locator(".btn.authorize").first.click()
    with demo.api(who) as api:
        page.locator(".auth-container input").fill(api.headers["authorization"].removeprefix("Bearer "))
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".auth-btn-wrapper .btn-done").click()
    return page


def test_what_is_filled_in_can_be_executed_as_it_is(people: People, demo: Demo) -> None:
    page = authorized(people, demo, "Ana")
    creating = tried_out(page, "createConversation")
    assert json.loads(creating.locator("textarea.body-param__text").input_value()) == {"display_name": "Support"}
    assert execute(creating)[0] == 200
    with demo.api("The operator") as api:
        (newest, *_) = api.get("/conversations", params={"order": "desc"}).json()["_embedded"]["conversations"]
        room = api.get(f"/conversations/{newest['uuid']}").json()
    assert room["display_name"] == "Support"

    listing = tried_out(page, "getuserConversations")
    status, url = execute(listing)
    assert (status, url.partition("/beta")[2]) == (200, "/users/me/conversations?page_size=100&record_index=0&order=asc")

    saying = tried_out(page, "createEvent")
    saying.locator("tr[data-param-name=conversation_id] input").fill(demo.room)
    assert execute(saying)[0] == 201
    assert demo.texts()[-1] == "Hello"


def test_nothing_made_of_a_pattern_is_filled_in(people: People, demo: Demo) -> None:
    page = people.open(f"{demo.url}/beta/docs")
    expect(page.locator(".opblock")).to_have_count(28)
    for operation in ("createUser", "updateUser", "createMember", "updateMember", "replaceConversation"):
        block = tried_out(page, operation)
        texts = [
            block.locator("textarea.body-param__text").input_value(),
            *(box.input_value() for box in block.locator("tr[data-param-name]:not([data-param-in=header]) input").all()),
        ]
        assert [text for text in texts if not text or not text.isascii()] == []


def test_it_is_dark_where_the_reader_wants_it_dark_and_follows_when_that_changes(people: People, demo: Demo) -> None:
    page = people.open(f"{demo.url}/beta/docs", color_scheme="dark")
    tried_out(page, "createEvent")
    for place in ("html", ".swagger-ui", ".opblock textarea.body-param__text"):
        expect(page.locator(place).first).to_have_css("background-color", DARK)
    for text in (".info .title", ".examples-select__section-label"):
        expect(page.locator(text).first).to_have_css("color", LIGHT)
    page.emulate_media(color_scheme="light")
    expect(page.locator(".swagger-ui textarea.body-param__text")).to_have_css("background-color", LIGHT)
    expect(page.locator(".info .title")).to_have_css("color", DARK)
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".info .title")).to_have_css("color", LIGHT)
