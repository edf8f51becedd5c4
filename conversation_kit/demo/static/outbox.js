// What was written and is not in the log yet: kept over cuts and reloads, sent one after the other, in order, each once.

import {Retry} from "./retry.js";

export class Outbox {
  entries = [];
  #sending = false;
  #retry = new Retry(() => this.flush());

  // `onChange()` is called whenever an entry has changed.
  constructor(api, id, onChange) {
    this.api = api;
    this.id = id;
    this.onChange = onChange;
    // Of this tab only, so that two tabs do not both send what was left.
    this.key = `outbox ${api.session.role} ${id}`;
    this.entries = JSON.parse(sessionStorage.getItem(this.key) ?? "[]");
  }

  add(text) {
    this.entries.push({tag: newTag(), text, state: "waiting", written: new Date().toISOString()});
    this.#changed();
    this.flush();
  }

  // What has arrived over the stream is in the log, and here no more.
  arrived(tag) {
    const before = this.entries.length;
    this.entries = this.entries.filter((entry) => entry.tag !== tag);
    if (this.entries.length !== before) this.#changed();
  }

  again(tag) {
    const entry = this.entries.find((entry) => entry.tag === tag);
    if (entry) entry.state = "waiting";
    this.#changed();
    this.flush();
  }

  discard(tag) {
    this.arrived(tag);
  }

  async flush() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      let entry;
      while ((entry = this.entries.find(({state}) => state === "waiting" || state === "sending"))) {
        if (!(await this.#send(entry))) break;
      }
    } finally {
      this.#sending = false;
    }
  }

  close() {
    this.#retry.stop();
  }

  // Whether to go on with the next one.
  async #send(entry) {
    try {
      this.#mark(entry, "sending");
      // When an answer is lost nobody knows whether the message is: by its key the server knows it again.
      await this.api.post(this.id, "text", {text: entry.text, tag: entry.tag}, entry.tag);
      this.#retry.succeeded();
      this.#mark(entry, "sent");
      return true;
    } catch (error) {
      if (error.isPassing) {
        this.#mark(entry, "waiting");
        this.#retry.later();
        return false;
      }
      this.#mark(entry, "failed", error.message);
      return true;
    }
  }

  #mark(entry, state, reason) {
    entry.state = state;
    entry.reason = reason;
    this.#changed();
  }

  #changed() {
    const left = this.entries.filter(({state}) => state !== "sent");
    if (left.length) sessionStorage.setItem(this.key, JSON.stringify(left));
    else sessionStorage.removeItem(this.key);
    this.onChange();
  }
}

// `crypto.randomUUID` is for secure origins only, and a demo may be looked at from another machine.
function newTag() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
