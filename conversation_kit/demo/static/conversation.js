// One conversation as its user has it: log, members, who types, what is still to be sent, and the stream that keeps it all current.

import {callsOf} from "./calls.js";
import {isDeleted, Log} from "./log.js";
import {Members} from "./members.js";
import {Outbox} from "./outbox.js";
import {Retry} from "./retry.js";
import {Stream} from "./stream.js";
import {Typing} from "./typing.js";

const PAGE = 50;

export class Conversation extends EventTarget {
  state = "idle"; // then "loading", "live", "reconnecting", or "ended"
  log = new Log([]);
  #stream;
  #seenSent = 0;
  #loadingEarlier;
  #retry = new Retry(() => this.#load());

  constructor(api, row) {
    super();
    this.api = api;
    this.id = row.id;
    this.members = new Members(api.session);
    const onChange = () => this.#changed();
    this.outbox = new Outbox(api, row.id, {newest: () => this.log.newest, onChange});
    this.typing = new Typing({say: (type) => this.#say(type), onChange});
    this.update(row);
  }

  // Begin to listen, unless it does already.
  start() {
    if (this.state !== "idle") return;
    this.state = "loading";
    this.#load();
  }

  // What the list of conversations says of it.
  update(row) {
    this.title = row.display_name ?? row.name;
    this.created = row.timestamp.created;
    this.memberId = row.member_id;
  }

  close() {
    this.#retry.stop();
    this.#stream?.close();
    this.typing.close();
    this.outbox.close();
    this.state = "ended";
    this.#changed();
  }

  async #load() {
    try {
      // The log first: members who come later than this are in the events after it.
      const events = await this.api.eventsUpTo(this.id, undefined, PAGE);
      const {members} = await this.api.conversation(this.id);
      if (this.state === "ended") return;
      this.members.reset(members);
      this.log = new Log(events);
      for (const event of events) if (event.body?.tag) this.outbox.arrived(event.body.tag);
    } catch (error) {
      if (this.state === "ended") return;
      this.#become(error.isPassing ? "reconnecting" : "ended");
      if (error.isPassing) this.#retry.later();
      return;
    }
    this.#stream = new Stream(this.api, this.id, this.log.newest, {
      onEvent: (event) => this.#heard(event),
      onState: (state) => this.#become(state),
    });
    this.#changed();
  }

  #become(state) {
    this.state = state;
    if (state === "live") this.outbox.flush();
    this.#changed();
  }

  #heard(event) {
    if (event.id === undefined) {
      if (event.type.startsWith("text:typing:") && !this.members.isMine(event.from)) {
        this.typing.heard(event.from, event.type === "text:typing:on");
      }
      return;
    }
    if (!this.log.add(event)) return;
    this.members.heard(event);
    if (event.type === "text") this.typing.heard(event.from, false);
    if (event.type === "conversation:updated") this.title = event.body.display_name ?? event.body.name ?? this.title;
    if (event.body?.tag) this.outbox.arrived(event.body.tag);
    this.#changed();
  }

  // One page of what was before; false when there is no more.
  async loadEarlier() {
    if (this.log.isComplete || this.state === "loading") return false;
    this.#loadingEarlier ??= this.api
      .eventsUpTo(this.id, this.log.oldest - 1, PAGE * 2)
      .then((events) => {
        this.log.addOlder(events);
        this.#changed();
        return true;
      })
      .finally(() => (this.#loadingEarlier = undefined));
    return this.#loadingEarlier;
  }

  get calls() {
    return callsOf(this.log);
  }

  get lastText() {
    for (const event of this.log.newestFirst()) if (event.type === "text") return event;
    return undefined;
  }

  get activity() {
    return this.lastText?.timestamp ?? this.created;
  }

  // The messages of others after the last one that the user saw, wrote, or was there for; `more` when some may be further back.
  get unread() {
    let count = 0;
    const seen = this.#seen;
    for (const event of this.log.newestFirst()) {
      const mine = this.members.isMine(event.from);
      if (Number(event.id) <= seen || (mine && (event.type === "text" || event.type === "member:joined"))) return {count, more: false};
      if (event.type === "text" && !mine && !isDeleted(event)) count += 1;
    }
    return {count, more: count > 0 && !this.log.isComplete};
  }

  // Who has seen which of the user's own messages: the id of the last one to the names, for each other member.
  get seenBy() {
    const names = new Map();
    for (const member of this.members.present) {
      if (this.members.isMine(member.id)) continue;
      const id = this.#lastOwn(this.log.seen.get(member.id) ?? 0);
      if (id) names.set(id, [...(names.get(id) ?? []), this.members.shownName(member.id)]);
    }
    return names;
  }

  get lastOwn() {
    return this.#lastOwn(this.log.newest);
  }

  #lastOwn(upTo) {
    for (let id = Math.min(upTo, this.log.newest); id >= this.log.oldest; id -= 1) {
      const event = this.log.get(id);
      if (event.type === "text" && this.members.isMine(event.from) && !isDeleted(event)) return id;
    }
    return 0;
  }

  // The user has the newest message before their eyes. One receipt tells of all before it.
  async markSeen() {
    if (this.state !== "live") return;
    let newest = 0;
    for (const event of this.log.newestFirst()) {
      if (event.type !== "text" || isDeleted(event) || this.members.isMine(event.from)) continue;
      newest = Number(event.id);
      break;
    }
    if (newest <= Math.max(this.#seen, this.#seenSent)) return;
    this.#seenSent = newest;
    try {
      await this.api.post(this.id, "text:seen", {event_id: newest});
    } catch (error) {
      this.#seenSent = 0; // the next look tries again
      if (!error.isPassing && error.status !== 404) throw error;
    }
  }

  // The last event that the user has seen.
  get #seen() {
    let seen = 0;
    for (const [member, id] of this.log.seen) if (this.members.isMine(member)) seen = Math.max(seen, id);
    return seen;
  }

  send(text) {
    this.typing.finished();
    this.outbox.add(text);
  }

  #say(type) {
    if (this.state !== "live") return false;
    // Nobody misses a hint of typing that got lost.
    this.api.post(this.id, type).catch(() => undefined);
    return true;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
