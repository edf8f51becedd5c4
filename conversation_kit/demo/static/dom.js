// Elements. What comes from people only ever becomes text: nothing here takes markup.

export function element(tag, {class: names, text, on = {}, ...attributes} = {}, ...children) {
  const made = document.createElement(tag);
  if (names) made.className = names;
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  for (const [type, listener] of Object.entries(on)) made.addEventListener(type, listener);
  made.append(...children.filter(Boolean));
  return made;
}

export function find(selector) {
  return document.querySelector(selector);
}

// Sets a text only if it is another one, so that live regions speak of changes only.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function avatar(name) {
  const first = Array.from(name.trim())[0] ?? "?";
  // Always the same colour for a name, and different ones for those of the demo.
  let hash = 4;
  for (const character of name) hash = (hash * 23 + character.codePointAt(0)) % 1009;
  return element("span", {class: `avatar hue-${hash % 6}`, text: first.toUpperCase(), "aria-hidden": "true"});
}
