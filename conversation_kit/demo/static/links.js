// Addresses in what people write, as links. Only of the web: whatever else a text holds stays text.

import {element} from "./dom.js";

const ADDRESS = /\bhttps?:\/\/[^\s<>"\p{C}]+/giu;
const PUNCTUATION = /[.,;:!?'’”»…*_~]$/u;

// The nodes that show a text: pieces of it, and links.
export function linked(text) {
  const nodes = [];
  let end = 0;
  for (const {0: found, index} of text.matchAll(ADDRESS)) {
    const address = trimmed(found);
    if (!URL.canParse(address)) continue;
    nodes.push(text.slice(end, index), element("a", {href: address, target: "_blank", rel: "noopener noreferrer", text: address}));
    end = index + address.length;
  }
  return [...nodes, text.slice(end)];
}

// A full stop belongs to the sentence, and so does a bracket that was opened before the address.
function trimmed(address) {
  for (;;) {
    const last = address.at(-1);
    const opening = {")": "(", "]": "[", "}": "{"}[last];
    if (!PUNCTUATION.test(address) && !(opening && count(address, last) > count(address, opening))) return address;
    address = address.slice(0, -1);
  }
}

function count(text, character) {
  return text.split(character).length - 1;
}
