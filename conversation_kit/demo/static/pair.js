// Two people in one window: each has a page of their own, with their own key.

import {element} from "./dom.js";

const keys = location.hash.slice(1).split(",").filter(Boolean);
document.body.append(...keys.map((key, index) => element("iframe", {src: `chat#${key}`, title: `Person ${index + 1}`})));
addEventListener("hashchange", () => location.reload());
