// One conversation as its user has it: log, members, who types, what is unread, and what is still to be sent.

import {callsOf} from "./calls.js";
import {isDeleted, isMessage, Log} from "./log.js";
import {Members} from "./members.js";
import {Outbox} from "./outbox.js";
import {Retry} from "./retry.js";
import {Typing} from "./typing.js";
import {Unread} from "./unread.js";

const PAGE = 50;

export class Conversation extends EventTarget {
  state = "idle"; // then "loading", "ready", "reconnecting", or "ended"
  log = new Log([]);
  unread = new Unread();
  #isLoaded = false;
  #isReading = false;
  #last = 0; // the highest id that the page knows of
  #seenSent = 0;
  #loadingEarlier;
  #retry = new Retry(() => this.#read());

  // `isLive()` tells whether events arrive at the moment.
  constructor(api, id, isLive) {
    super();
    this.api = api;
    this.id = id;
    this.isLive = isLive;
    this.members = new Members(api.session);
    const onChange = () => this.#changed();
    this.outbox = new Outbox(api, id, onChange);
    this.typing = new Typing({say: (type) => this.#say(type), onChange});
  }

  // Begin to read the log, unless that was done.
  start() {
    if (this.state !== "idle") return;
    this.state = "loading";
    this.#read();
  }

  // What the list of conversations says of it: a row for each membership of the user.
  update(rows) {
    if (this.#isLoaded) this.outbox.flush();
    const [row] = rows;
    if (row.sequence_number < this.#last) return; // more was heard since that list was made
    this.title = row.display_name ?? row.name;
    this.created = row.timestamp.created;
    this.memberIds = new Set(rows.map(({member_id: id}) => id));
    this.unread.reset(rows);
    this.#expect(row.sequence_number);
  }

  // An event of the conversation has arrived.
  heard(event) {
    if (event.id === undefined) {
      if (event.type.startsWith("text:typing:") && this.#isLoaded && !this.members.isMine(event.from)) {
        this.typing.heard(event.from, event.type === "text:typing:on");
      }
      return;
    }
    this.unread.heard(event);
    if (this.#isLoaded) this.#take(event);
    this.#expect(Number(event.id));
    this.start();
  }

  close() {
    this.state = "ended";
    this.#retry.stop();
    this.typing.close();
    this.outbox.close();
  }

  // The log goes as far as this, and the page with it.
  #expect(id) {
    this.#last = Math.max(this.#last, id);
    if (this.#isLoaded && this.log.newest < this.#last) this.#read();
  }

  // Read what is not there yet: the newest page at first, and whatever did not come live.
  async #read() {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      if (!this.#isLoaded) await this.#readNewest();
      while (this.log.newest < this.#last) await this.#readOn();
      if (this.state === "ended") return;
      this.#retry.succeeded();
      this.#become("ready");
      this.outbox.flush();
    } catch (error) {
      if (error.code === undefined && !error.isPassing) throw error; // a mistake of this page belongs into the console
      if (this.state === "ended") return;
      this.#become(error.isPassing ? "reconnecting" : "ended");
      if (error.isPassing) this.#retry.later();
      else this.dispatchEvent(new Event("refused"));
    } finally {
      this.#isReading = false;
    }
  }

  async #readNewest() {
    // The log first: members who come later than this are in the events after it.
    const events = await this.api.eventsUpTo(this.id, undefined, PAGE);
    const {name, display_name: shownName, members} = await this.api.conversation(this.id);
    this.title = shownName ?? name;
    this.members.reset(members);
    this.log = new Log(events);
    for (const event of events) if (event.body?.tag) this.outbox.arrived(event.body.tag);
    this.#isLoaded = true;
  }

  async #readOn() {
    const events = await this.api.eventsFrom(this.id, this.log.newest + 1);
    if (!events.length) this.#last = this.log.newest;
    for (const event of events) this.#take(event);
  }

  #take(event) {
    if (!this.log.add(event)) return;
    this.members.heard(event);
    if (event.type === "text") this.typing.heard(event.from, false);
    if (event.type === "conversation:updated") this.title = event.body.display_name ?? event.body.name ?? this.title;
    if (event.body?.tag) this.outbox.arrived(event.body.tag);
    this.#changed();
  }

  #become(state) {
    this.state = state;
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

  get lastMessage() {
    for (const event of this.log.newestFirst()) if (isMessage(event.type)) return event;
    return undefined;
  }

  get activity() {
    return this.lastMessage?.timestamp ?? this.created;
  }

  // The id of the last message that others wrote.
  get newestOfOthers() {
    for (const event of this.log.newestFirst()) if (isMessage(event.type) && !isDeleted(event) && !this.members.isMine(event.from)) return Number(event.id);
    return 0;
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

  // The user has the end of the conversation before their eyes. One receipt tells of all before it.
  async markSeen() {
    if (this.state !== "ready" || !this.isLive() || this.#seenSent > this.#seen) return; // the last one is on its way
    const event = this.#unseen;
    if (!event) return;
    this.#seenSent = Number(event.id);
    try {
      await this.api.post(this.id, event.type === "text" ? "text:seen" : "event:seen", {event_id: this.#seenSent});
    } catch (error) {
      this.#seenSent = 0; // the next look tries again
      if (!error.isPassing && error.status !== 404) throw error;
    }
  }

  // What a receipt has to name now.
  get #unseen() {
    for (const event of this.log.newestFirst()) {
      if (Number(event.id) <= this.#seen) break;
      if (isMessage(event.type) && !isDeleted(event) && !this.members.isMine(event.from)) return event;
    }
    // There is no receipt for deleted messages, and others are further back than the log was read, but the server counts them.
    return this.unread.count ? this.log.get(this.log.newest) : undefined;
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
    if (!this.isLive()) return false;
    // Nobody misses a hint of typing that got lost.
    this.api.post(this.id, type).catch(() => undefined);
    return true;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
