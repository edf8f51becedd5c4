// The log of one conversation as it is, the newest event first.

import {element, find, say} from "./dom.js";
import {Log} from "./log.js";
import {Retry} from "./retry.js";
import {Rows} from "./rows.js";
import {Stream} from "./stream.js";
import {exact, precise} from "./times.js";

const PAGE = 50;
const STATES = {loading: "loading", live: "live", reconnecting: "reconnecting", ended: "ended"};

export class EventTable {
  #log = new Log([]);
  #names = new Map();
  #stream;
  #closed = false;
  #retry = new Retry(() => this.#load());
  #rows;

  constructor(api, id, {onProblem}) {
    this.api = api;
    this.id = id;
    this.onProblem = onProblem;
    find("#events").replaceChildren();
    this.#rows = new Rows(find("#events"), (item) => item.build());
    find("#earlier").onclick = () => this.#loadEarlier().catch(onProblem);
    this.#become("loading");
    this.#load();
  }

  close() {
    this.#closed = true;
    this.#retry.stop();
    this.#stream?.close();
  }

  // The names of members, by id.
  name(names) {
    this.#names = names;
    this.#show();
  }

  async #load() {
    try {
      this.#log = new Log(await this.api.eventsUpTo(this.id, undefined, PAGE));
    } catch (error) {
      this.#become(error.isPassing ? "reconnecting" : "ended");
      if (error.isPassing && !this.#closed) this.#retry.later();
      return;
    }
    if (this.#closed) return;
    this.#stream = new Stream(() => this.api.ticket(this.id), this.#log.newest, {
      onEvent: (event) => this.#heard(event),
      onState: (state) => this.#become(state),
    });
    this.#show();
  }

  #heard(event) {
    if (event.id === undefined) return;
    if (this.#log.add(event)) this.#show();
    else if (Number(event.id) > this.#log.newest) {
      // Ids have no holes: something was lost, and all of it is read again.
      this.#stream.close();
      this.#load();
    }
  }

  async #loadEarlier() {
    this.#log.addOlder(await this.api.eventsUpTo(this.id, this.#log.oldest - 1, PAGE * 2));
    this.#show();
  }

  #become(state) {
    if (this.#closed) return;
    const lamp = find("#log-state");
    lamp.className = `lamp ${state}`;
    say(lamp, STATES[state]);
  }

  #show() {
    if (this.#closed) return;
    find("#earlier").hidden = this.#log.isComplete;
    const rows = [];
    for (const event of this.#log.newestFirst()) {
      const from = this.#names.get(event.from) ?? event.from ?? "";
      const body = JSON.stringify(event.body, null, 1).replace(/\n */g, " "); // with room to break lines in
      const build = () => element("tr", {"data-event": event.id},
        element("td", {class: "number", text: event.id}), element("td", {class: "time", title: exact(event.timestamp), text: precise(event.timestamp)}),
        element("td", {text: event.type}), element("td", {text: from, "data-label": "From"}), element("td", {}, element("code", {text: body})));
      rows.push({key: event.id, signature: from + body, build});
    }
    this.#rows.show(rows);
  }
}
