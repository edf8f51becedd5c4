// A part of a conversation's log without holes: from `oldest` to `newest`, each id once, whichever way it came.

export class Log {
  #events = new Map();
  oldest = 1;
  newest = 0;
  // Member id to the highest id of an event that this member has seen.
  seen = new Map();

  constructor(newestFirst) {
    if (newestFirst.length) {
      this.newest = Number(newestFirst[0].id);
      this.oldest = this.newest + 1;
      this.addOlder(newestFirst);
    }
  }

  get isComplete() {
    return this.oldest === 1;
  }

  addOlder(newestFirst) {
    for (const event of newestFirst) {
      if (Number(event.id) !== this.oldest - 1) continue;
      this.oldest -= 1;
      this.#events.set(this.oldest, event);
      for (const member of Object.keys(event.state?.seen_by ?? {})) this.#see(member, this.oldest);
      this.#understand(event);
    }
  }

  // Whether the event was new.
  add(event) {
    const id = Number(event.id);
    if (id !== this.newest + 1) return false;
    this.newest = id;
    this.#events.set(id, event);
    this.#understand(event);
    return true;
  }

  get(id) {
    return this.#events.get(id);
  }

  *[Symbol.iterator]() {
    for (let id = this.oldest; id <= this.newest; id += 1) yield this.#events.get(id);
  }

  *newestFirst() {
    for (let id = this.newest; id >= this.oldest; id -= 1) yield this.#events.get(id);
  }

  #understand(event) {
    const target = Number(event.body?.event_id);
    if (event.type.endsWith(":seen") && event.from) this.#see(event.from, target);
    if (event.type === "event:delete" && this.#events.has(target)) {
      const deleted = this.#events.get(target);
      this.#events.set(target, {...deleted, body: {timestamp: {deleted: event.timestamp}}});
    }
  }

  #see(member, id) {
    this.seen.set(member, Math.max(this.seen.get(member) ?? 0, id));
  }
}

// Whether it is what people say; the rest is what the log records.
export function isMessage(type) {
  return type === "text" || type === "image" || type === "message" || type.startsWith("custom:");
}

export function isDeleted(event) {
  return event.body?.timestamp?.deleted !== undefined;
}
