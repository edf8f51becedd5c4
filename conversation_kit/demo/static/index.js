// The links to everybody's pages. Each page gets a key of its own, behind the # of its address.

import {avatar, element, find} from "./dom.js";
import {Session} from "./session.js";

const problem = find("#problem");
try {
  const {people, operator} = await Session.open((role) => role === "everybody");
  const [first, second] = people;
  const key = (person) => encodeURIComponent(person.key);
  find("#choices").append(
    choice(`pair#${key(first)},${key(second)}`, `${first.display_name} and ${second.display_name}`, "side by side"),
    ...people.map((person) => choice(`chat#${key(person)}`, person.display_name, "chat")),
    choice(`operator#${encodeURIComponent(operator)}`, "The operator", "sees everything"));
  problem.textContent = "";
} catch (error) {
  problem.textContent = error.message;
}

function choice(href, name, note) {
  return element("li", {}, element("a", {href}, avatar(name), element("strong", {text: name}), element("small", {text: note})));
}
