// What could not be done, for a few seconds.

const SHOWN = 6000;

export class Toast {
  #timer;

  constructor(node) {
    this.node = node;
  }

  show(text) {
    clearTimeout(this.#timer);
    this.node.textContent = text;
    this.#timer = setTimeout(() => (this.node.textContent = ""), SHOWN);
  }

  // Do something, and tell when it cannot be done.
  async during(task) {
    try {
      return await task();
    } catch (error) {
      if (error.code === undefined && !error.isPassing) throw error; // a mistake of this page belongs into the console
      this.show(error.message);
      return undefined;
    }
  }
}
