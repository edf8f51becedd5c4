// Two people in one window: each has a page of their own, with their own key.

import {element, find, say} from "./dom.js";

const keys = location.hash.slice(1).split(",").filter(Boolean);
if (!keys.length) say(find("#loading"), "This address is not complete: open an address that the demo has printed.");
else document.body.replaceChildren(...keys.map((key, index) => element("iframe", {src: `chat#${key}`, title: `Person ${index + 1}`})));
addEventListener("hashchange", () => location.reload());
