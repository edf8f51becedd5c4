// The links to everybody's pages. Each page gets a key of its own, behind the # of its address.

import {avatar, element, find} from "./dom.js";
import {Session} from "./session.js";

try {
  const {people, operator} = await Session.open();
  const [first, second] = people;
  const key = (person) => encodeURIComponent(person.key);
  find("#choices").append(
    choice(`pair#${key(first)},${key(second)}`, `${first.display_name} and ${second.display_name}`, "side by side"),
    ...people.map((person) => choice(`chat#${key(person)}`, person.display_name, "chat")),
    choice(`operator#${encodeURIComponent(operator)}`, "The operator", "sees everything"));
} catch (error) {
  find("#problem").textContent = error.message;
}

function choice(href, name, note) {
  return element("li", {}, element("a", {href}, avatar(name), element("strong", {text: name}), element("small", {text: note})));
}
