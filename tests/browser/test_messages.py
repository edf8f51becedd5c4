"""What can be done with messages: follow their links, delete them, and get past them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.demo import Demo, People, message, say

pytestmark = pytest.mark.slow

LINKS = {
    "See https://example.com/a?b=c#d.": ["https://example.com/a?b=c#d"],
    "(http://example.com/wiki/Tea_(drink))": ["http://example.com/wiki/Tea_(drink)"],
    "HTTPS://EXAMPLE.COM, https://example.org!": ["https://example.com/", "https://example.org/"],
    "https://example.com/<img src=x onerror=alert(1)>": ["https://example.com/"],
    'https://example.com/" onclick="alert(1)': ["https://example.com/"],
    "javascript:alert(1) data:text/html,x ftp://example.com file:///etc/passwd mailto:a@example.com": [],
    "https:// http://[ https://%zz xhttps://example.com": [],
}


def fill(demo: Demo, who: str, count: int) -> None:
    with demo.api(who) as api:
        for number in range(count):
            api.post(f"/conversations/{demo.room}/events", json={"type": "text", "body": {"text": f"message {number}"}})


def deleted(page: Page, text: str) -> None:
    """Delete a message, and mean it."""
    page.locator(".message").filter(has_text=text).hover()
    page.get_by_role("button", name=f"Delete “{text}”").click()
    page.locator("#delete").get_by_role("button", name="Delete").click()


def test_addresses_in_messages_are_links_and_nothing_else_is(people: People, demo: Demo) -> None:
    with demo.api("Bo") as bo:
        for text in LINKS:
            bo.post(f"/conversations/{demo.room}/events", json={"type": "text", "body": {"text": text}})
    ana = people.chat("Ana")
    for text, targets in LINKS.items():
        bubble = message(ana, text)
        expect(bubble).to_have_count(1)
        assert bubble.locator("a").evaluate_all("(links) => links.map((link) => link.href)") == targets, text
        for link in bubble.locator("a").all():
            expect(link).to_have_attribute("rel", "noopener noreferrer")
            expect(link).to_have_attribute("target", "_blank")
    assert ana.locator("#messages img, #messages [onclick]").count() == 0


def test_deleting_asks_first(people: People, demo: Demo) -> None:
    ana, bo = people.chat("Ana"), people.chat("Bo")
    say(ana, "Two spoons")
    ana.locator(".message").filter(has_text="Two spoons").hover()
    ana.get_by_role("button", name="Delete “Two spoons”").click()
    asking = ana.locator("#delete")
    expect(asking).to_contain_text("Two spoons")
    expect(asking.get_by_role("button", name="Cancel")).to_be_focused()
    ana.keyboard.press("Enter")
    expect(asking).to_be_hidden()
    expect(ana.get_by_role("button", name="Delete “Two spoons”")).to_be_focused()
    ana.keyboard.press("Enter")
    ana.keyboard.press("Escape")
    expect(asking).to_be_hidden()
    expect(message(bo, "Two spoons")).to_have_count(1)
    deleted(ana, "Two spoons")
    for page in (ana, bo):
        expect(page.get_by_text("This message was deleted")).to_have_count(1)
    assert demo.texts()[1:] == [""]


def test_only_messages_of_others_are_told_of_as_new(people: People, demo: Demo) -> None:
    with demo.api("Ana") as api:
        api.post(f"/conversations/{demo.room}/events", json={"type": "text", "body": {"text": "Two spoons"}})
    fill(demo, "Ana", 40)
    ana, bo = people.chat("Ana"), people.chat("Bo")
    expect(message(ana, "message 39")).to_be_in_viewport()
    ana.locator("#scroller").evaluate("(scroller) => { scroller.scrollTop = 0; }")
    deleted(ana, "Two spoons")
    expect(ana.get_by_text("This message was deleted")).to_have_count(1)
    expect(bo.get_by_text("This message was deleted")).to_have_count(1)
    expect(ana.locator("#messages .status").last).to_have_text("Seen by Bo")
    expect(ana.locator("#newer")).to_be_hidden()
    say(bo, "And now?")
    expect(ana.locator("#newer")).to_be_visible()


def test_where_one_writes_is_one_step_from_the_top_and_few_from_the_messages(people: People, demo: Demo) -> None:
    fill(demo, "Ana", 40)
    ana = people.chat("Ana")
    expect(message(ana, "message 39")).to_be_in_viewport()
    key = ana.evaluate("location.hash")
    press = ana.keyboard.press
    ana.locator("body").focus()
    press("Tab")
    skip = ana.get_by_role("button", name="Skip to writing")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    press("Enter")
    expect(ana.locator("#text")).to_be_focused()
    assert ana.evaluate("location.hash") == key
    expect(skip).not_to_be_in_viewport()

    # All messages are one stop; the arrows lead from one to the next.
    ana.locator("#scroller").focus()
    press("Tab")
    for name, step in (("message 39", "ArrowUp"), ("message 38", "ArrowUp"), ("message 37", "ArrowDown"), ("message 38", "Tab")):
        expect(ana.get_by_role("button", name=f"Delete “{name}”")).to_be_focused()
        press(step)
    expect(ana.locator("#text")).to_be_focused()
    press("Shift+Tab")
    expect(ana.get_by_role("button", name="Delete “message 38”")).to_be_focused()
    press("End")
    expect(ana.get_by_role("button", name="Delete “message 39”")).to_be_focused()
    press("Home")
    expect(ana.get_by_role("button", name=re.compile("Delete “(The kettle|message)"))).to_have_count(41)
    expect(ana.locator("#messages .message").first.get_by_role("button")).to_be_focused()


def test_who_still_rings_is_not_in_the_call(people: People, demo: Demo) -> None:
    with demo.api("The operator") as admin:
        admin.post(f"/conversations/{demo.room}/members", json={"action": "join", "user_name": "cy"})
    ana, bo = people.chat("Ana"), people.chat("Bo")
    cy = people.chat("Cy")
    expect(ana.locator("#subtitle")).to_have_text("You, Bo, Cy")
    ana.get_by_role("button", name="Call", exact=True).click()
    expect(ana.locator("#call-text")).to_have_text("Calling Bo, Cy…")
    bo.get_by_role("button", name="Answer").click()
    expect(ana.locator("#call-text")).to_have_text("In a call with Bo. Calling Cy…")
    cy.get_by_role("button", name="Answer").click()
    expect(ana.locator("#call-text")).to_have_text("In a call with Bo, Cy")
    bo.get_by_role("button", name="Hang up").click()
    expect(ana.locator("#call-text")).to_have_text("In a call with Cy")
