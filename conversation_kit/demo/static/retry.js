// When to try again: soon, then less and less often, and at once when the browser hears of the network again.

const FIRST = 300;
const LONGEST = 5000;

export class Retry {
  #failures = 0;
  #timer;

  constructor(again) {
    this.again = again;
    addEventListener("online", () => this.#timer !== undefined && this.now());
  }

  later() {
    clearTimeout(this.#timer);
    const pause = Math.min(FIRST * 2 ** this.#failures, LONGEST);
    this.#failures += 1;
    // Not all pages that lost the same server come again at the same moment.
    this.#timer = setTimeout(() => this.now(), pause * (0.7 + 0.3 * Math.random()));
  }

  now() {
    this.stop();
    this.again();
  }

  succeeded() {
    this.#failures = 0;
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
