"""That everybody can read the pages: contrast, widths, motion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.demo import NARROW, WIDE, People, message, say

pytestmark = pytest.mark.slow

WEAK = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, ground) => top.slice(0, 3).map((value, index) => value * top[3] + ground[index] * (1 - top[3]));
    const ground = (node) => {
        if (!node) return [255, 255, 255];
        const color = rgba(getComputedStyle(node).backgroundColor);
        return color[3] === 1 ? color.slice(0, 3) : over(color, ground(node.parentElement));
    };
    const light = (color) => {
        const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = color.map((value) => linear(value / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const weak = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let looked = 0;
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !node.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
        if (node.closest(":disabled, .unseen, option")) continue;
        const behind = ground(node);
        const [one, other] = [light(over(rgba(getComputedStyle(node).color), behind)), light(behind)];
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        looked += 1;
        if (contrast < 4.5) weak.push(`${walker.currentNode.data.trim().slice(0, 40)}: ${contrast.toFixed(2)}`);
    }
    return {looked, weak};
}"""
NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, a, iframe, [tabindex]")]
    .filter((node) => !(node.ariaLabel || node.title || node.textContent.trim()))
    .filter((node) => !(node.labels?.length || node.getAttribute("aria-labelledby")))
    .map((node) => node.outerHTML)"""


def chat(people: People, **options: object) -> Page:
    ana, bo = people.chat("Ana", **options), people.chat("Bo")
    ana.locator(".entry").click()
    say(bo, "Anything with it?")
    say(ana, "Shortbread")
    expect(message(ana, "Shortbread")).to_have_count(1)
    ana.get_by_role("button", name="Call", exact=True).click()
    expect(ana.locator(".call-card .leg-state")).to_have_text("ringing")
    ana.get_by_role("button", name="People").click()
    return ana


def operator(people: People) -> Page:
    chat(people)
    page = people.open(people.demo.printed.links["The operator"])
    expect(page.locator("#events tr").nth(5)).to_be_attached()
    expect(page.get_by_role("button", name="Hang up")).to_be_visible()
    return page


def home(people: People) -> Page:
    page = people.open(people.demo.printed.home)
    expect(page.get_by_role("link", name="The operator")).to_be_visible()
    return page


@pytest.mark.parametrize("opened", [chat, operator, home])
def test_everything_can_be_read_and_has_a_name(people: People, opened: Callable[[People], Page]) -> None:
    page = opened(people)
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for viewport in (WIDE, NARROW):
        page.set_viewport_size({"width": viewport["width"], "height": viewport["height"]})
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate(WEAK)
            assert found["weak"] == [], (viewport, scheme)
            assert found["looked"] >= 6
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


def test_nothing_moves_for_who_does_not_want_it(people: People) -> None:
    moving = """() => [...document.querySelectorAll("*")].filter((node) => {
        const style = getComputedStyle(node);
        return style.animationName !== "none" || style.transitionDuration.split(", ").some((seconds) => seconds !== "0s");
    }).length"""
    assert chat(people).evaluate(moving) == 0
    assert people.chat("Ana", reduced_motion="no-preference").evaluate(moving) > 0
