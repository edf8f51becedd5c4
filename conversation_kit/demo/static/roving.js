// The controls of a list as one stop for Tab, at first the last of them: the arrows lead from one to the next.

export class Roving {
  #current;
  #last;

  constructor(list, selector) {
    this.list = list;
    this.selector = selector;
    list.addEventListener("focusin", ({target}) => target.matches(selector) && this.#stop(target));
    list.addEventListener("keydown", (event) => {
      const controls = this.#controls;
      const at = controls.indexOf(event.target);
      if (at < 0) return;
      const next = {ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: controls.length - 1}[event.key];
      if (next === undefined) return;
      event.preventDefault();
      controls[next]?.focus();
    });
  }

  // The list has changed.
  update() {
    const last = this.#controls.at(-1);
    // A new one is come by first, unless somebody is among them.
    if (!this.#current?.isConnected || (last !== this.#last && !this.list.contains(document.activeElement))) this.#stop(last);
    this.#last = last;
  }

  get #controls() {
    return [...this.list.querySelectorAll(this.selector)];
  }

  #stop(control) {
    if (control === this.#current) return;
    if (this.#current) this.#current.tabIndex = -1;
    this.#current = control;
    if (control) control.tabIndex = 0;
  }
}
