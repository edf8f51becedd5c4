// The children of an element, kept in step with a list: only what has changed is built again.

export class Rows {
  #rows = new Map();

  // `build(item)` makes the element of an item; an item has a `key`, and a `signature` that changes whenever it looks different.
  constructor(parent, build) {
    this.parent = parent;
    this.build = build;
  }

  show(items) {
    const old = this.#rows;
    this.#rows = new Map();
    let place = this.parent.firstElementChild;
    for (const item of items) {
      const known = old.get(item.key);
      old.delete(item.key);
      const row = known?.signature === item.signature ? known : {signature: item.signature, node: this.build(item)};
      this.#rows.set(item.key, row);
      if (known && known !== row) {
        if (place === known.node) place = place.nextElementSibling;
        const control = focused(known.node);
        known.node.replaceWith(row.node);
        control?.(row.node);
      }
      if (row.node === place) place = place.nextElementSibling;
      else this.parent.insertBefore(row.node, place);
    }
    for (const {node} of old.values()) {
      if (node.contains(document.activeElement)) this.parent.closest("[tabindex]")?.focus();
      node.remove();
    }
  }
}

// Gives the focus that was in a node to the same control of the node that takes its place.
function focused(node) {
  const active = document.activeElement;
  if (!node.contains(active)) return undefined;
  const label = active.dataset.control;
  return (next) => (next.querySelector(`[data-control="${label}"]`) ?? next.closest("[tabindex]"))?.focus();
}
