// Who is typing. Such events have no id and are not kept, so both sides count the seconds.

const SHOWN = 6000;
const REPEATED = 3000;
const IDLE = 5000;

export class Typing {
  #timers = new Map();
  #saidAt = 0;
  #idle;

  // `say(type)` tells the others, if it can at the moment.
  constructor({say, onChange}) {
    this.say = say;
    this.onChange = onChange;
  }

  get members() {
    return [...this.#timers.keys()];
  }

  heard(member, isOn) {
    clearTimeout(this.#timers.get(member));
    if (isOn) this.#timers.set(member, setTimeout(() => this.heard(member, false), SHOWN));
    else this.#timers.delete(member);
    this.onChange();
  }

  // The user of this page typed something.
  touched() {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.stopped(), IDLE);
    if (Date.now() - this.#saidAt < REPEATED) return;
    if (this.say("text:typing:on")) this.#saidAt = Date.now();
  }

  stopped() {
    clearTimeout(this.#idle);
    if (!this.#saidAt) return;
    this.#saidAt = 0;
    this.say("text:typing:off");
  }

  // Who says something is done with typing it.
  finished() {
    clearTimeout(this.#idle);
    this.#saidAt = 0;
  }

  close() {
    clearTimeout(this.#idle);
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
