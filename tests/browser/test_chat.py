"""What people do on the chat page, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.browser.demo import NARROW, Demo, People, message, say, shown

pytestmark = pytest.mark.slow

CUT = [r"net::ERR_", r"WebSocket connection to"]
"""What a browser itself says when a server goes."""


def joined(demo: Demo, title: str, *names: str) -> str:
    """Another conversation, in which these are joined."""
    with demo.api("The operator") as admin:
        room: str = admin.post("/conversations", json={"display_name": title}).json()["id"]
        for name in names:
            admin.post(f"/conversations/{room}/members", json={"action": "join", "user_name": name})
    return room


def post(demo: Demo, who: str, conversation: str, *texts: str) -> None:
    """Say something without a page."""
    with demo.api(who) as api:
        for text in texts:
            assert api.post(f"/conversations/{conversation}/events", json={"type": "text", "body": {"text": text}}).status_code == 201


def test_two_people_talk_and_each_sees_what_the_other_has_seen(people: People) -> None:
    ana, bo = people.chat("Ana"), people.chat("Bo")
    say(ana, "Mint, please")
    expect(message(bo, "Mint, please")).to_have_count(1)
    expect(ana.locator("#messages .message").last).to_contain_text("Seen by Bo")
    say(bo, "Coming")
    expect(message(ana, "Coming")).to_have_count(1)
    expect(bo.locator("#messages .message").last).to_contain_text("Seen by Ana")
    assert shown(ana) == shown(bo) == ["The kettle is on. Who would like a cup?", "Mint, please", "Coming"]


def test_two_people_in_one_window(people: People) -> None:
    home = people.open(people.demo.printed.home)
    home.get_by_role("link", name="Ana and Bo").click()
    ana, bo = (home.frame_locator("iframe").nth(number) for number in (0, 1))
    expect(ana.locator("#conversation")).to_have_attribute("aria-busy", "false")
    ana.locator("#text").fill("Who is there?")
    ana.locator("#text").press("Enter")
    expect(bo.locator("#messages .bubble").last).to_have_text("Who is there?")


def test_typing_shows_and_ends(people: People) -> None:
    ana, bo = people.chat("Ana"), people.chat("Bo")
    typing = bo.locator("#typing")
    ana.locator("#text").press_sequentially("Green")
    expect(typing).to_have_text("Ana is typing…")
    ana.locator("#text").fill("")
    expect(typing).to_have_text("")
    ana.locator("#text").press_sequentially("Black")
    expect(typing).to_have_text("Ana is typing…")
    ana.locator("#text").press("Enter")
    expect(message(bo, "Black")).to_have_count(1)
    expect(typing).to_have_text("")
    # The one who types is not told so.
    expect(ana.locator("#typing")).to_have_text("")


def test_who_goes_away_while_typing_is_not_typing_for_ever(people: People) -> None:
    ana, bo = people.chat("Ana"), people.chat("Bo")
    ana.locator("#text").press_sequentially("Wh")
    expect(bo.locator("#typing")).to_have_text("Ana is typing…")
    ana.goto("about:blank")
    expect(bo.locator("#typing")).to_have_text("")


def test_what_is_unread_is_counted_until_it_is_seen(people: People, demo: Demo) -> None:
    with demo.api("Bo") as bo:
        other = bo.post("/conversations", json={"display_name": "Cake"}).json()["id"]
        bo.post(f"/conversations/{other}/members", json={"action": "join", "user_name": "bo"})
        with demo.api("The operator") as admin:
            admin.post(f"/conversations/{other}/members", json={"action": "join", "user_name": "ana"})
        ana = people.chat("Ana")
        cake, kitchen = (ana.locator(".entry").filter(has_text=title) for title in ("Cake", "Tea kitchen"))
        # While the conversations load they may still change places below the pointer.
        expect(kitchen).to_contain_text("The kettle is on")
        expect(ana.locator("#conversation")).to_have_attribute("aria-busy", "false")
        kitchen.click()
        expect(ana.locator("#title")).to_have_text("Tea kitchen")
        expect(cake.locator(".badge")).to_have_count(0)
        for number in range(3):
            bo.post(f"/conversations/{other}/events", json={"type": "text", "body": {"text": f"Slice {number}"}})
        expect(cake.locator(".badge")).to_have_text("3 unread")
        expect(cake).to_contain_text("Slice 2")
        expect(ana).to_have_title("(3) Ana · Chat")
        ana.reload()
        # What was open is open again, and nothing else is taken for seen.
        expect(ana.locator("#title")).to_have_text("Tea kitchen")
        expect(cake.locator(".badge")).to_have_text("3 unread")
        cake.click()
        expect(cake.locator(".badge")).to_have_count(0)
        expect(ana).to_have_title("Ana · Chat")
        # One receipt is enough for all three.
        seen = [event["body"] for event in bo.get(f"/conversations/{other}/events").json() if event["type"] == "text:seen"]
        assert [body["event_id"] for body in seen] == [5]


def test_what_one_window_has_seen_is_seen_in_the_others(people: People, demo: Demo) -> None:
    room = joined(demo, "Cake", "ana", "bo")
    one, other = people.chat("Ana"), people.chat("Ana")
    for page in (one, other):
        page.locator(".entry").filter(has_text="Tea kitchen").click()
        expect(page.locator("#title")).to_have_text("Tea kitchen")
    post(demo, "Bo", room, "Almond", "Lemon")
    badges = [page.locator(".entry").filter(has_text="Cake").locator(".badge") for page in (one, other)]
    for badge in badges:
        expect(badge).to_have_text("2 unread")
    one.locator(".entry").filter(has_text="Cake").click()
    for page, badge in zip((one, other), badges, strict=True):
        expect(badge).to_have_count(0)
        expect(page).to_have_title("Ana · Chat")
    post(demo, "Bo", room, "Poppy seed")
    # Open in one of them, so it is seen.
    expect(other.locator(".entry").filter(has_text="Cake")).to_contain_text("Poppy seed")
    expect(badges[1]).to_have_count(0)
    # Whoever answers, from wherever, has read.
    one.locator(".entry").filter(has_text="Tea kitchen").click()
    expect(one.locator("#title")).to_have_text("Tea kitchen")
    post(demo, "Bo", room, "Still here?")
    expect(badges[1]).to_have_text("1 unread")
    post(demo, "Ana", room, "Yes")
    for badge in badges:
        expect(badge).to_have_count(0)


def test_what_another_client_saw_a_part_of_is_counted_by_the_server(people: People, demo: Demo) -> None:
    room = joined(demo, "Cake", "ana", "bo")
    post(demo, "Bo", room, *(f"Slice {number}" for number in range(120)))
    ana = people.chat("Ana")
    badge = ana.locator(".entry").filter(has_text="Cake").locator(".badge")
    ana.locator(".entry").filter(has_text="Tea kitchen").click()
    ana.reload()
    expect(ana.locator("#title")).to_have_text("Tea kitchen")
    post(demo, "Bo", room, *(f"Crumb {number}" for number in range(120)))
    expect(badge).to_have_text("99+ unread")
    log = demo.log(room)
    crumb = next(event["id"] for event in log if event["body"].get("text") == "Crumb 89")
    with demo.api("Ana") as client:
        client.post(f"/conversations/{room}/events", json={"type": "text:seen", "body": {"event_id": crumb}})
    expect(badge).to_have_text("30 unread")
    ana.reload()
    expect(badge).to_have_text("30 unread")


def test_a_deleted_message_is_no_longer_unread_once_its_place_was_seen(people: People, demo: Demo) -> None:
    room = joined(demo, "Cake", "ana", "bo")
    ana = people.chat("Ana")
    cake, kitchen = (ana.locator(".entry").filter(has_text=title) for title in ("Cake", "Tea kitchen"))
    kitchen.click()
    expect(ana.locator("#title")).to_have_text("Tea kitchen")
    post(demo, "Bo", room, "Oops")
    expect(cake.locator(".badge")).to_have_text("1 unread")
    with demo.api("Bo") as bo:
        bo.delete(f"/conversations/{room}/events/{demo.log(room)[-1]['id']}")
    expect(cake).to_contain_text("Deleted message")
    cake.click()
    expect(cake.locator(".badge")).to_have_count(0)
    kitchen.click()
    ana.reload()
    expect(ana.locator("#title")).to_have_text("Tea kitchen")
    expect(cake).to_contain_text("Deleted message")
    expect(cake.locator(".badge")).to_have_count(0)


def test_a_call_and_what_is_no_text_are_unread_until_they_are_seen(people: People, demo: Demo) -> None:
    joined(demo, "Cake", "ana", "bo")
    ana, bo = people.chat("Ana"), people.chat("Bo")
    cake, kitchen = (ana.locator(".entry").filter(has_text=title) for title in ("Cake", "Tea kitchen"))
    cake.click()
    expect(ana.locator("#title")).to_have_text("Cake")
    bo.locator(".entry").filter(has_text="Tea kitchen").click()
    expect(bo.locator("#title")).to_have_text("Tea kitchen")
    bo.get_by_role("button", name="Call", exact=True).click()
    bo.get_by_role("button", name="Hang up").click()
    expect(kitchen).to_contain_text("Call")
    expect(kitchen.locator(".badge")).to_have_text("1 unread")
    with demo.api("Bo") as api:
        for type in ("image", "custom:vote"):
            api.post(f"/conversations/{demo.room}/events", json={"type": type, "body": {}})
    expect(kitchen).to_contain_text("Something else")
    expect(kitchen.locator(".badge")).to_have_text("3 unread")
    kitchen.click()
    expect(ana.locator(".call-card")).to_be_visible()
    expect(ana.get_by_text("Bo sent something that this page does not show (custom:vote)")).to_be_visible()
    expect(kitchen.locator(".badge")).to_have_count(0)


def test_many_conversations_are_live_and_the_logs_of_old_ones_are_read_when_something_happens(people: People, demo: Demo) -> None:
    with demo.api("The operator") as admin:
        rooms = []
        for number in range(60):
            rooms.append(admin.post("/conversations", json={"display_name": f"Room {number}."}).json()["id"])
            admin.post(f"/conversations/{rooms[-1]}/members", json={"action": "join", "user_name": "ana"})
            admin.post(f"/conversations/{rooms[-1]}/events", json={"type": "text", "body": {"text": f"Word {number}."}})
    ana = people.chat("Ana")
    expect(ana.locator(".entry")).to_have_count(61)
    expect(ana.locator(".entry .badge")).to_have_count(59)  # one is open, and in the tea kitchen nobody else said anything
    old, older = (ana.locator(".entry").filter(has_text=title) for title in ("Room 3.", "Room 2."))
    for entry in (old, older):
        expect(entry.locator(".badge")).to_have_text("1 unread")
        expect(entry).not_to_contain_text("Word")
    post(demo, "The operator", rooms[3], "live")
    expect(old).to_contain_text("live")
    expect(old.locator(".badge")).to_have_text("2 unread")
    expect(ana.locator(".entry").first).to_contain_text("Room 3.")
    older.click()
    expect(message(ana, "Word 2.")).to_be_visible()
    expect(older.locator(".badge")).to_have_count(0)
    post(demo, "The operator", rooms[2], "here too")
    expect(message(ana, "here too")).to_be_visible()


def test_a_page_has_one_stream_and_asks_for_the_list_once(people: People, demo: Demo) -> None:
    rooms = [joined(demo, title, "ana", "bo") for title in ("Cake", "Biscuits")]
    ana = people.open("about:blank")
    ana.clock.install()
    streams, lists = [], []
    ana.on("websocket", lambda socket: streams.append(socket.url))
    ana.on("request", lambda request: lists.append(request.url) if re.search(r"/users/[^/]+/conversations", request.url) else None)
    ana.goto(demo.printed.links["Ana"])
    for number, (room, title) in enumerate(zip(rooms, ("Cake", "Biscuits"), strict=True)):
        post(demo, "Bo", room, f"word {number}")
        expect(ana.locator(".entry").filter(has_text=title)).to_contain_text(f"word {number}")
    ana.clock.fast_forward(30_000)
    post(demo, "Bo", demo.room, "later")
    expect(ana.locator(".entry").filter(has_text="Tea kitchen")).to_contain_text("later")
    assert len(streams) == 1
    assert re.search(r"/users/USR-[^/]+/events\?", streams[0])
    assert len(lists) == 1


def test_more_tabs_of_one_browser_than_it_opens_connections_are_all_live(people: People) -> None:
    ana, bo = people.chat("Ana"), people.chat("Bo")
    tabs = [ana, *(ana.context.new_page() for _ in range(7))]
    for tab in tabs[1:]:
        tab.goto(ana.url)
        expect(tab.locator("#conversation")).to_have_attribute("aria-busy", "false")
    say(bo, "Is anybody there?")
    for tab in tabs:
        expect(message(tab, "Is anybody there?")).to_have_count(1)


def test_history_pages_back_to_the_first_event_without_a_gap_or_a_double(people: People, demo: Demo) -> None:
    wanted = ["The kettle is on. Who would like a cup?", *(f"message {number}" for number in range(420))]
    with demo.api("Bo") as bo:
        for text in wanted[1:]:
            assert bo.post(f"/conversations/{demo.room}/events", json={"type": "text", "body": {"text": text}}).status_code == 201
    ana = people.chat("Ana")
    expect(message(ana, "message 419")).to_be_in_viewport()
    assert len(shown(ana)) < 100
    while ana.locator("#earlier").is_visible():
        count = ana.locator("#messages > li").count()
        top = ana.locator("#messages .message").first
        top.evaluate("(node) => { window.reading = node; window.distance = node.getBoundingClientRect().top; }")
        ana.locator("#earlier").evaluate("(button) => button.click()")
        ana.wait_for_function("(count) => document.querySelectorAll('#messages > li').length > count", arg=count)
    assert shown(ana) == wanted
    expect(ana.get_by_text("Ana joined", exact=True)).to_have_count(1)


def test_what_is_read_stays_where_it_is_when_earlier_messages_come(people: People, demo: Demo) -> None:
    with demo.api("Bo") as bo:
        for number in range(200):
            bo.post(f"/conversations/{demo.room}/events", json={"type": "text", "body": {"text": f"message {number}"}})
    ana = people.chat("Ana")
    expect(message(ana, "message 199")).to_be_in_viewport()
    count = ana.locator("#messages > li").count()
    # Up to where the page begins to load by itself, as by the wheel.
    before = ana.evaluate("""() => {
        const scroller = document.querySelector("#scroller");
        window.reading = document.querySelector("#messages .message:nth-child(5)");
        scroller.scrollTop = 20;
        return window.reading.getBoundingClientRect().top;
    }""")
    ana.wait_for_function("(count) => document.querySelectorAll('#messages > li').length > count", arg=count)
    assert abs(ana.evaluate("window.reading.getBoundingClientRect().top") - before) < 40
    # Whoever reads what was before is not pulled away by what comes, and is told of it.
    say(people.chat("Bo"), "And now?")
    expect(ana.locator("#newer")).to_be_visible()
    expect(message(ana, "And now?")).not_to_be_in_viewport()
    ana.locator("#newer").click()
    expect(message(ana, "And now?")).to_be_in_viewport()
    expect(ana.locator("#newer")).to_be_hidden()


def test_who_scrolls_up_is_not_pulled_down_by_what_is_drawn_before_the_browser_tells_of_it(people: People, demo: Demo) -> None:
    with demo.api("Bo") as bo:
        for number in range(40):
            bo.post(f"/conversations/{demo.room}/events", json={"type": "text", "body": {"text": f"message {number}"}})
    ana = people.chat("Ana")
    expect(message(ana, "message 39")).to_be_in_viewport()
    top = ana.evaluate("""async () => {
        const scroller = document.querySelector("#scroller"), {setTimeout} = window;
        let draw;
        while (!draw) {
            await new Promise((done) => setTimeout(done, 100));
            window.setTimeout = (callback) => void (draw = callback);
            document.dispatchEvent(new Event("visibilitychange")); // the page draws in a moment, unless it does so anyway
            window.setTimeout = setTimeout;
        }
        scroller.scrollTop = 20;
        draw();
        return scroller.scrollTop;
    }""")
    assert top == 20


def test_inviting_joining_and_leaving(people: People) -> None:
    ana, cy = people.chat("Ana"), people.chat("Cy")
    expect(cy.get_by_text("No conversation is open.")).to_be_visible()
    ana.get_by_role("button", name="People").click()
    ana.get_by_label("Invite").select_option("Cy")
    ana.locator("#invite").get_by_role("button", name="Invite").click()
    expect(ana.get_by_text("Ana invited Cy")).to_be_visible()
    expect(ana.locator("#members li").filter(has_text="Cy")).to_contain_text("invited")

    cy.locator(".invitation").get_by_role("button", name="Join").click()
    expect(cy.get_by_role("heading", name="Tea kitchen")).to_be_visible()
    expect(ana.get_by_text("Cy joined", exact=True)).to_be_visible()
    expect(ana.locator("#subtitle")).to_have_text("You, Bo, Cy")
    say(cy, "Hello everybody")
    expect(message(ana, "Hello everybody")).to_have_count(1)

    cy.get_by_role("button", name="People").click()
    cy.get_by_role("button", name="Leave").click()
    expect(cy.get_by_text("No conversation is open.")).to_be_visible()
    expect(ana.get_by_text("Cy left", exact=True)).to_be_visible()
    expect(ana.locator("#subtitle")).to_have_text("You, Bo")

    ana.locator("#invite").get_by_role("button", name="Invite").click()
    cy.locator(".invitation").get_by_role("button", name="Decline").click()
    expect(ana.get_by_text("Cy declined the invitation")).to_be_visible()
    # What Cy said stays Cy's.
    expect(ana.locator(".message").filter(has_text="Hello everybody").locator(".name")).to_have_text("Cy")


def test_who_is_removed_is_out_at_once(people: People, demo: Demo) -> None:
    bo = people.chat("Bo")
    with demo.api("The operator") as admin:
        members = admin.get(f"/conversations/{demo.room}/members").json()
        (member,) = [row["id"] for row in members if row["name"] == "bo"]
        admin.delete(f"/conversations/{demo.room}/members/{member}")
    expect(bo.get_by_text("No conversation is open.")).to_be_visible()
    expect(bo.locator(".entry")).to_have_count(0)


def test_a_conversation_that_is_deleted_goes_and_a_withdrawn_invitation_too(people: People, demo: Demo) -> None:
    room = joined(demo, "Cake", "ana")
    ana, bo = people.chat("Ana"), people.chat("Bo")
    expect(ana.locator(".entry")).to_have_count(2)
    with demo.api("The operator") as admin:
        admin.post(f"/conversations/{room}/members", json={"action": "invite", "user_name": "bo"})
        expect(bo.locator(".invitation")).to_contain_text("Cake")
        admin.delete(f"/conversations/{room}")
    expect(ana.locator(".entry")).to_have_count(1)
    expect(ana.locator("#title")).to_have_text("Tea kitchen")
    expect(bo.locator(".invitation")).to_have_count(0)


def test_who_comes_back_sees_what_was_said_meanwhile(people: People, demo: Demo) -> None:
    bo = people.chat("Bo")
    bo.get_by_role("button", name="People").click()
    bo.get_by_role("button", name="Leave").click()
    expect(bo.get_by_text("No conversation is open.")).to_be_visible()
    post(demo, "Ana", demo.room, "Where is he?")
    with demo.api("The operator") as admin:
        admin.post(f"/conversations/{demo.room}/members", json={"action": "join", "user_name": "bo"})
    expect(message(bo, "Where is he?")).to_have_count(1)
    post(demo, "Ana", demo.room, "There!")
    expect(message(bo, "There!")).to_have_count(1)
    assert shown(bo) == demo.texts()


def test_a_call_rings_is_answered_and_ends(people: People) -> None:
    ana, bo = people.chat("Ana"), people.chat("Bo")
    ana.get_by_role("button", name="Call", exact=True).click()
    expect(ana.locator("#call-text")).to_have_text("Calling Bo…")
    expect(bo.locator("#call-text")).to_have_text("Ana is calling")
    for page in (ana, bo):
        expect(page.locator(".call-card .leg-state")).to_have_text("ringing")
        expect(page.locator("#call")).to_be_disabled()
    bo.get_by_role("button", name="Answer").click()
    for page, text in ((ana, "In a call with Bo"), (bo, "In a call with Ana")):
        expect(page.locator("#call-text")).to_have_text(text)
        expect(page.locator(".call-card .leg-state")).to_have_text("answered")
    ana.get_by_role("button", name="Hang up").click()
    for page in (ana, bo):
        expect(page.locator("#call-bar")).to_be_hidden()
        expect(page.locator(".call-card .leg-state")).to_have_text(re.compile(r"^ended(, \d:\d\d)?$"))

    bo.get_by_role("button", name="Call", exact=True).click()
    ana.get_by_role("button", name="Decline").click()
    for page in (ana, bo):
        expect(page.locator(".call-card .leg-state").last).to_have_text("declined")
    ana.get_by_role("button", name="Call", exact=True).click()
    ana.get_by_role("button", name="Hang up").click()
    for page in (ana, bo):
        expect(page.locator(".call-card .leg-state").last).to_have_text("cancelled")


def test_a_call_does_not_outlive_the_phones(people: People, demo: Demo) -> None:
    people.expected = CUT
    ana = people.chat("Ana")
    ana.get_by_role("button", name="Call", exact=True).click()
    expect(ana.locator(".call-card .leg-state")).to_have_text("ringing")
    demo.kill()
    demo.start()
    expect(ana.locator(".call-card .leg-state")).to_have_text("failed")
    expect(ana.locator("#call-bar")).to_be_hidden()
    expect(ana.get_by_role("button", name="Call", exact=True)).to_be_enabled()


def test_an_own_message_can_be_deleted_and_no_other(people: People) -> None:
    ana, bo = people.chat("Ana"), people.chat("Bo")
    say(ana, "Two spoons")
    expect(message(bo, "Two spoons")).to_have_count(1)
    expect(bo.get_by_role("button", name="Delete")).to_have_count(0)
    ana.locator(".message").filter(has_text="Two spoons").hover()
    ana.get_by_role("button", name="Delete “Two spoons”").click()
    ana.locator("#delete").get_by_role("button", name="Delete").click()
    for page in (ana, bo):
        expect(page.get_by_text("This message was deleted")).to_have_count(1)
        expect(message(page, "Two spoons")).to_have_count(0)
    bo.reload()
    expect(bo.get_by_text("This message was deleted")).to_have_count(1)


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_the_server_is_restarted_and_no_message_is_lost_or_doubled(people: People, demo: Demo, how: str) -> None:
    people.expected = CUT
    ana, bo = people.chat("Ana"), people.chat("Bo")
    say(ana, "before")
    expect(message(bo, "before")).to_have_count(1)
    getattr(demo, how)()
    for page in (ana, bo):
        expect(page.locator("#connection")).to_contain_text("Reconnecting…")
    for number in range(3):
        say(ana, f"while it is away {number}")
    say(bo, "from the other side")
    for page, count in ((ana, 3), (bo, 1)):
        expect(page.locator(".message.unsent")).to_have_count(count)
        expect(page.locator(".message.unsent").first).to_contain_text("Waiting to be sent")
    demo.start()
    for page in (ana, bo):
        expect(page.locator("#connection")).to_have_text("")
        expect(page.locator(".message.unsent")).to_have_count(0)
        expect(page.locator("#messages .bubble")).to_have_count(6)
    say(bo, "after")
    expect(message(ana, "after")).to_have_count(1)
    log = demo.texts()
    assert sorted(log) == sorted(set(log))
    assert [text for text in log if text.startswith("while")] == [f"while it is away {number}" for number in range(3)]
    assert shown(ana) == shown(bo) == log


def test_both_write_while_the_server_is_killed_again_and_again(people: People, demo: Demo) -> None:
    people.expected = CUT
    ana, bo = people.chat("Ana"), people.chat("Bo")
    for run in range(4):
        for number in range(6):
            say(ana, f"ana {run} {number}")
            say(bo, f"bo {run} {number}")
            if number == 2:
                demo.kill()  # while messages are on their way
        demo.start()
    wanted = {name: [f"{name} {run} {number}" for run in range(4) for number in range(6)] for name in ("ana", "bo")}
    for page in (ana, bo):
        expect(page.locator(".message.unsent")).to_have_count(0)
        expect(page.locator("#messages .bubble")).to_have_count(1 + 2 * 24)
    log = demo.texts()
    for name, texts in wanted.items():
        assert [text for text in log if text.startswith(name)] == texts
    assert shown(ana) == shown(bo) == log


def test_what_does_not_come_over_the_stream_is_read_from_the_log(people: People, demo: Demo) -> None:
    room = joined(demo, "Cake", "ana", "bo")
    dropped: list[str] = []

    def lose_some(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(frame: str | bytes) -> None:
            if "lost" in str(frame):
                dropped.append(str(frame))
            else:
                socket.send(frame)

        server.on_message(pass_on)

    ana = people.open("about:blank")
    ana.route_web_socket("**/events*", lose_some)
    ana.goto(demo.printed.links["Ana"])
    cake, kitchen = (ana.locator(".entry").filter(has_text=title) for title in ("Cake", "Tea kitchen"))
    kitchen.click()
    expect(ana.locator("#title")).to_have_text("Tea kitchen")
    for conversation in (demo.room, room):
        post(demo, "Bo", conversation, "lost 1", "lost 2", "found")
    for text in ("lost 1", "lost 2", "found"):
        expect(message(ana, text)).to_have_count(1)
    expect(cake.locator(".badge")).to_have_text("3 unread")
    assert len(dropped) == 4
    assert shown(ana) == demo.texts()


def test_a_place_that_the_server_does_not_know_is_no_reason_to_stay_away(people: People, demo: Demo) -> None:
    people.expected = CUT
    room = joined(demo, "Cake", "ana", "bo")
    ana = people.open("about:blank")
    ana.add_init_script("""
        const Own = WebSocket;
        window.WebSocket = function (url) { return new Own(String(url).replace(/after=.+/, "after=of-another-version")); };
    """)
    ana.goto(demo.printed.links["Ana"])
    cake, kitchen = (ana.locator(".entry").filter(has_text=title) for title in ("Cake", "Tea kitchen"))
    kitchen.click()
    expect(ana.locator("#title")).to_have_text("Tea kitchen")
    demo.kill()
    expect(ana.locator("#connection")).to_contain_text("Reconnecting…")
    demo.start()
    for conversation in (demo.room, room):
        post(demo, "Bo", conversation, "while it was away")
    expect(ana.locator("#connection")).to_have_text("")
    expect(message(ana, "while it was away")).to_have_count(1)
    expect(cake.locator(".badge")).to_have_text("1 unread")
    post(demo, "Bo", demo.room, "and now")
    expect(message(ana, "and now")).to_have_count(1)


def test_what_waits_to_be_sent_outlives_a_reload(people: People) -> None:
    people.expected = CUT
    ana, bo = people.chat("Ana"), people.chat("Bo")
    ana.route("**/events", lambda route: route.abort("connectionrefused") if route.request.method == "POST" else route.fallback())
    say(ana, "kept")
    expect(ana.locator(".message.unsent")).to_contain_text("Waiting to be sent")
    ana.reload()
    expect(ana.locator(".message.unsent")).to_contain_text("kept")
    ana.unroute_all()
    expect(message(bo, "kept")).to_have_count(1)
    expect(ana.locator(".message.unsent")).to_have_count(0)


@pytest.mark.parametrize("is_stream_silent", [False, True])
def test_a_message_whose_answer_was_lost_is_in_the_log_once(people: People, demo: Demo, is_stream_silent: bool) -> None:
    people.expected = CUT
    ana, bo = people.chat("Ana"), people.chat("Bo")
    lost: list[int] = []
    if is_stream_silent:
        # Then nothing tells the page that the message got through, and it is sent again.
        ana.route_web_socket("**/events*", lambda socket: socket.connect_to_server().on_message(lambda frame: None))
        ana.reload()
        expect(ana.locator("#conversation")).to_have_attribute("aria-busy", "false")

    def lose_the_answer(route: Route) -> None:
        if route.request.method != "POST" or '"text"' not in (route.request.post_data or ""):
            return route.fallback()
        if not lost:
            lost.append(route.fetch().status)
            return route.abort("connectionreset")
        lost.append(0)
        return route.fallback()

    ana.route("**/events", lose_the_answer)
    say(ana, "once")
    say(ana, "twice")
    expect(message(bo, "twice")).to_have_count(1)
    if is_stream_silent:
        expect(ana.locator(".message.unsent.sent")).to_have_count(2)
    else:
        expect(ana.locator(".message.unsent")).to_have_count(0)
    assert lost[0] == 201
    if is_stream_silent:
        assert len(lost) == 3
    assert demo.texts()[1:] == ["once", "twice"]
    assert shown(ana)[1:] == shown(bo)[1:] == ["once", "twice"]


def test_a_refused_message_says_why_and_can_be_tried_again_or_discarded(people: People, demo: Demo) -> None:
    people.expected = [r"status of 403"]
    ana = people.chat("Ana")
    refusal = {"code": "shop:error:advert", "description": "No adverts in here."}
    ana.route("**/events", lambda route: route.fulfill(status=403, json=refusal) if route.request.method == "POST" else route.fallback())
    say(ana, "Buy now")
    say(ana, "Buy later")
    expect(ana.locator(".message.failed")).to_have_count(2)
    expect(ana.locator(".message.failed .status").first).to_have_text("Not sent: No adverts in here.")
    ana.unroute_all()
    ana.locator(".message.failed").first.get_by_role("button", name="Discard").click()
    expect(ana.locator(".message.failed")).to_have_count(1)
    ana.locator(".message.failed").get_by_role("button", name="Try again").click()
    expect(ana.locator(".message.failed")).to_have_count(0)
    expect(ana.locator(".message.unsent")).to_have_count(0)
    assert demo.texts()[1:] == ["Buy later"]


ODD = [
    "<img src=x onerror=\"document.title='broken'\">",
    "</li><script>document.title = 'broken'</script>",
    "&lt;b&gt; &amp; ${1 + 1} {{1 + 1}}",
    "\u202eright to left override\u202c and שלום",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 Z\u0335\u0321a\u0334l\u0337g\u0338o",
    "zero\u200bwidth\u00a0and a very " + "l" * 300 + "ong word",
    "javascript:alert(1) https://elsewhere.example/",
    "__proto__ constructor toString",
]


def test_markup_and_odd_text_is_shown_as_text(people: People, demo: Demo) -> None:
    with demo.api("Bo") as bo, demo.api("The operator") as admin:
        other = bo.post("/conversations", json={"display_name": "<b onclick=alert(1)>Bold</b>"}).json()["id"]
        for name in ("bo", "ana"):
            admin.post(f"/conversations/{other}/members", json={"action": "join", "user_name": name})
        for text in ODD:
            bo.post(f"/conversations/{other}/events", json={"type": "text", "body": {"text": text}})
        calls: list[dict[str, object]] = [{"legs": "none"}, {"legs": [None, 7]}, {}]
        for body in calls:  # as this page would not make them
            bo.post(f"/conversations/{other}/events", json={"type": "custom:call", "body": body})
        ana = people.chat("Ana")
        ana.locator(".entry").filter(has_text="Bold").click()
        expect(ana.locator("#title")).to_have_text("<b onclick=alert(1)>Bold</b>")
        expect(ana.locator("#messages .bubble")).to_have_count(len(ODD))
        assert ana.locator("#messages .bubble").evaluate_all("(nodes) => nodes.map((node) => node.textContent)") == ODD
        for tag in ("img", "script", "b", "a[href^='javascript:']"):
            expect(ana.locator(f"body {tag}")).to_have_count(0)
        expect(ana).to_have_title("Ana · Chat")
        assert ana.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_all_of_it_by_keyboard(people: People, demo: Demo) -> None:
    ana, bo = people.chat("Ana"), people.chat("Bo")
    press = ana.keyboard.press
    ana.locator("body").focus()

    def tab_to(name: str) -> None:
        for _ in range(30):
            press("Tab")
            label = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()"
            if re.match(name, str(ana.evaluate(label))):
                width = ana.evaluate("getComputedStyle(document.activeElement).outlineWidth")
                assert width == "2px", f"the focus on {name} does not show"
                return
        raise AssertionError(f"Tab does not lead to {name}.")

    tab_to("New")
    press("Enter")
    expect(ana.get_by_label("Name")).to_be_focused()
    ana.keyboard.type("Biscuits")
    press("Tab")
    press("Space")
    press("Enter")
    expect(ana.get_by_role("heading", name="Biscuits")).to_be_visible()
    expect(ana.locator("#text")).to_be_focused()
    ana.keyboard.type("Ginger")
    press("Shift+Enter")
    ana.keyboard.type("or oat?")
    press("Enter")
    expect(message(ana, "Ginger\nor oat?")).to_have_count(1)
    expect(bo.locator(".invitation")).to_contain_text("Biscuits")

    tab_to("New")
    tab_to(r".*Tea kitchen")
    press("Enter")
    expect(ana.get_by_role("heading", name="Tea kitchen")).to_be_visible()
    tab_to("Call")
    press("Enter")
    bo.get_by_role("button", name="Answer").focus()
    bo.keyboard.press("Enter")
    expect(bo.locator("#call-text")).to_have_text("In a call with Ana")
    # The control that took the place of the one that was pressed has the focus.
    expect(bo.get_by_role("button", name="Hang up")).to_be_focused()
    bo.keyboard.press("Enter")
    expect(ana.locator(".call-card .leg-state")).to_contain_text("ended")
    tab_to("Messages")
    tab_to("Delete")
    press("Enter")
    tab_to("Delete")
    press("Enter")
    expect(bo.get_by_text("This message was deleted")).to_have_count(1)
    assert demo.texts() == [""]


def test_one_thing_at_a_time_where_there_is_no_room_for_more(people: People) -> None:
    ana, bo = people.chat("Ana", viewport=NARROW), people.chat("Bo")
    expect(ana.locator("#list")).to_be_hidden()
    ana.get_by_role("button", name="Back to the list").click()
    expect(ana.locator("#conversation")).to_be_hidden()
    say(bo, "Are you there?")
    # Nobody has seen what is on no screen.
    expect(ana.locator(".badge")).to_have_text(re.compile(r"^1 unread$"))
    expect(bo.locator("#messages .message").last).to_contain_text("Sent")
    ana.locator(".entry").click()
    expect(bo.locator("#messages .message").last).to_contain_text("Seen by Ana")
    ana.get_by_role("button", name="People").click()
    assert ana.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


def test_a_page_in_the_background_tells_what_is_unread_and_takes_nothing_for_seen(people: People) -> None:
    ana, bo = people.open("about:blank"), people.chat("Bo")
    # As browsers do for a tab that nobody looks at: nothing is painted there.
    ana.add_init_script("""
        window.requestAnimationFrame = () => 0;
        Object.defineProperty(document, "visibilityState", {get: () => "hidden"});
    """)
    ana.goto(people.demo.printed.links["Ana"])
    expect(ana).to_have_title("Ana · Chat")
    say(bo, "Psst")
    expect(ana).to_have_title("(1) Ana · Chat")
    expect(bo.locator("#messages .message").last).to_contain_text("Sent")


def test_an_address_that_is_not_complete_says_so(people: People) -> None:
    people.expected = [r"status of 401"]
    page: Page = people.open(f"{people.demo.url}/chat")
    expect(page.get_by_text("This address is not complete")).to_be_visible()
    page = people.open(f"{people.demo.url}/#nothing")
    expect(page.get_by_text("This demo does not know the key in this address")).to_be_visible()
