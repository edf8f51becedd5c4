"""The operator's page in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import WebSocketRoute, expect

from tests.browser.demo import Demo, People, message, say

pytestmark = pytest.mark.slow


def test_the_operator_sees_conversations_members_events_and_legs_as_they_come(people: People) -> None:
    operator, ana, bo = people.open(people.demo.printed.links["The operator"]), people.chat("Ana"), people.chat("Bo")
    expect(operator.locator("#log-state")).to_have_text("live")
    expect(operator.locator("#log-title")).to_have_text("Events of Tea kitchen")
    expect(operator.locator("#members tr")).to_have_text([re.compile("anajoinedapp"), re.compile("bojoinedapp")])
    say(ana, "<b>Hello</b>")
    expect(operator.locator("#events tr").filter(has_text='"text": "<b>Hello</b>"')).to_contain_text("ana")

    ana.get_by_role("button", name="Call", exact=True).click()
    leg = operator.locator("#legs tr")
    expect(leg).to_contain_text("ringing")
    bo.get_by_role("button", name="Answer").click()
    expect(leg).to_contain_text("answered")
    leg.get_by_role("button", name="Hang up").click()
    expect(leg).to_contain_text("completed")
    expect(leg.get_by_role("button")).to_have_count(0)
    for page in (ana, bo):
        expect(page.locator(".call-card .leg-state")).to_contain_text("ended")
        expect(page.get_by_role("button", name="Call", exact=True)).to_be_enabled()

    ana.get_by_role("button", name="New").click()
    ana.get_by_label("Name").fill("Biscuits")
    ana.get_by_role("button", name="Start").click()
    row = operator.locator("#conversations tr").filter(has_text="Biscuits")
    expect(row).to_be_visible()
    row.get_by_role("button").click()
    expect(operator.locator("#log-title")).to_have_text("Events of Biscuits")
    expect(operator.locator("#events tr")).to_have_count(1)
    bo.get_by_role("button", name="People").click()
    bo.get_by_role("button", name="Leave").click()
    operator.locator("#conversations tr").filter(has_text="Tea kitchen").get_by_role("button").click()
    expect(operator.locator("#members tr.left")).to_contain_text("bo")


def test_long_lists_have_pages_and_the_log_goes_back_to_its_beginning(people: People, demo: Demo) -> None:
    with demo.api("The operator") as admin:
        for number in range(12):
            admin.post("/conversations", json={"display_name": f"room {number}"})
    with demo.api("Bo") as bo:
        for number in range(197):
            bo.post(f"/conversations/{demo.room}/events", json={"type": "text", "body": {"text": f"message {number}"}})
    operator = people.open(demo.printed.links["The operator"])
    expect(operator.locator("#conversations-count")).to_have_text("13")
    expect(operator.locator("#conversations tr")).to_have_count(10)
    operator.locator("#conversations-older").click()
    expect(operator.locator("#conversations tr")).to_have_count(3)
    operator.get_by_role("button", name="Tea kitchen").click()
    expect(operator.locator("#events tr")).to_have_count(50)
    for count in (150, 200):
        operator.get_by_role("button", name="Earlier events").click()
        expect(operator.locator("#events tr")).to_have_count(count)
    expect(operator.get_by_role("button", name="Earlier events")).to_be_hidden()
    ids = operator.locator("#events tr td:first-child").all_inner_texts()
    assert ids == [str(number) for number in range(200, 0, -1)]


def test_what_does_not_come_over_the_stream_is_read_from_the_log(people: People, demo: Demo) -> None:
    operator = people.open("about:blank")

    def lose_some(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda frame: None if "lost" in str(frame) else socket.send(frame))

    operator.route_web_socket("**/events*", lose_some)
    operator.goto(demo.printed.links["The operator"])
    expect(operator.locator("#log-state")).to_have_text("live")
    with demo.api("Bo") as bo:
        for text in ("lost", "found"):
            bo.post(f"/conversations/{demo.room}/events", json={"type": "text", "body": {"text": text}})
    for text in ("lost", "found"):
        expect(operator.locator("#events tr").filter(has_text=f'"{text}"')).to_have_count(1)
    expect(operator.locator("#log-state")).to_have_text("live")


def test_the_page_comes_back_with_the_server(people: People, demo: Demo) -> None:
    people.expected = [r"net::ERR_", r"WebSocket connection to"]
    operator, ana = people.open(demo.printed.links["The operator"]), people.chat("Ana")
    expect(operator.locator("#log-state")).to_have_text("live")
    demo.kill()
    expect(operator.locator("#connection")).to_have_text("Reconnecting…")
    expect(operator.locator("#log-state")).to_have_text("reconnecting")
    demo.start()
    expect(operator.locator("#log-state")).to_have_text("live")
    say(ana, "again")
    expect(message(ana, "again")).to_have_count(1)
    expect(operator.locator("#events tr").filter(has_text='"again"')).to_have_count(1)


def test_the_page_is_for_operators(people: People, demo: Demo) -> None:
    people.expected = [r"status of 403"]
    key = demo.printed.key("Ana")
    page = people.open(f"{demo.url}/operator#{key}")
    expect(page.locator("#connection")).to_have_class("cut")
    expect(page.locator("#conversations tr")).to_have_count(0)


def test_it_fits_on_a_phone(people: People) -> None:
    ana, bo = people.chat("Ana"), people.chat("Bo")
    say(ana, "Is there any tea left?")
    ana.get_by_role("button", name="Call", exact=True).click()
    bo.get_by_role("button", name="Answer").click()
    operator = people.open(people.demo.printed.links["The operator"], viewport={"width": 390, "height": 844}, has_touch=True)
    hang_up = operator.get_by_role("button", name="Hang up")
    expect(hang_up).to_be_visible()
    wider = "() => [...document.querySelectorAll('.wide')].filter((list) => list.scrollWidth > list.clientWidth).length"
    assert operator.evaluate(wider) == 0
    assert operator.evaluate("document.documentElement.scrollWidth") == 390
    for text in (
        operator.get_by_text("Is there any tea left?"),
        operator.locator("#conversations td").filter(has_text="Tea kitchen"),
        hang_up,
    ):
        text.scroll_into_view_if_needed()
        expect(text).to_be_in_viewport(ratio=1)
    hang_up.click()
    expect(operator.locator("#legs tr")).to_contain_text("completed")
