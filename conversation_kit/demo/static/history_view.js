// What was said, oldest first, with what is still to be sent below it. Earlier pages come as the reader goes up.

import {avatar, element} from "./dom.js";
import {linked} from "./links.js";
import {isDeleted, isMessage} from "./log.js";
import {Roving} from "./roving.js";
import {Rows} from "./rows.js";
import {clock, day, duration, exact} from "./times.js";

const NEAR = 80;
const SAME_BREATH = 5 * 60_000;
const STATES = {waiting: "Waiting to be sent", sending: "Sending…", sent: "Sent", failed: "Not sent"};
const LEG_STATES = {
  started: "ringing", ringing: "ringing", answered: "answered", machine: "answered", completed: "ended",
  unanswered: "no answer", rejected: "declined", cancelled: "cancelled", busy: "busy", failed: "failed", timeout: "no answer", unknown: "",
};

export class HistoryView {
  #rows;
  #controls;
  #shown;
  #known = 0;

  // `earlier` is the button that asks for more, `newer` the one that leads back down.
  constructor({scroller, list, earlier, newer, onProblem, onDelete}) {
    this.scroller = scroller;
    this.earlier = earlier;
    this.newer = newer;
    this.onProblem = onProblem;
    this.onDelete = onDelete;
    this.#rows = new Rows(list, (item) => item.build());
    this.#controls = new Roving(list, "[data-control=delete]");
    earlier.addEventListener("click", () => this.#loadEarlier());
    newer.addEventListener("click", () => this.#toEnd());
    scroller.addEventListener("scroll", () => this.#scrolled(), {passive: true});
    // Whoever is at the end stays there when the room gets smaller, as it does when a keyboard opens.
    new ResizeObserver(() => this.#stick && this.#toEnd()).observe(scroller);
  }

  #stick = true;

  get isAtEnd() {
    return this.#stick;
  }

  show(conversation) {
    const other = conversation !== this.#shown;
    this.#shown = conversation;
    if (other) this.#stick = true;
    // Scrolled up, and the event that tells of it is still to come.
    else if (this.scroller.scrollTop < this.#top) this.#look();
    const {scrollHeight, scrollTop} = this.scroller;
    const first = this.#first;
    this.#first = conversation.log.oldest;
    this.#rows.show(itemsOf(conversation, this.onDelete));
    this.#controls.update();
    this.earlier.hidden = conversation.log.isComplete || conversation.state === "loading";
    if (this.#stick) this.#toEnd();
    // What comes above must not move what is being read.
    else if (!other && this.#first < first) this.scroller.scrollTop = scrollTop + this.scroller.scrollHeight - scrollHeight;
    if (this.#stick || other) this.#known = conversation.log.newest;
    this.newer.hidden = this.#stick || conversation.newestOfOthers <= this.#known;
    if (!this.earlier.hidden) queueMicrotask(() => this.#scrolled());
  }

  #first = 0;
  #top = 0;

  #look() {
    const {scrollHeight, scrollTop, clientHeight} = this.scroller;
    this.#top = scrollTop;
    this.#stick = scrollHeight - scrollTop - clientHeight < NEAR;
  }

  #toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#top = this.scroller.scrollTop;
    this.#stick = true;
    this.newer.hidden = true;
  }

  #scrolled() {
    this.#look();
    if (this.#stick && !this.newer.hidden) {
      this.newer.hidden = true;
      this.#shown?.dispatchEvent(new Event("change")); // what was below is seen now
    }
    if (this.#top < NEAR && !this.earlier.hidden) this.#loadEarlier();
  }

  async #loadEarlier() {
    const conversation = this.#shown;
    this.scroller.setAttribute("aria-busy", "true"); // what was said long ago need not be read out
    try {
      await conversation.loadEarlier();
    } catch (error) {
      this.onProblem(error);
    } finally {
      this.scroller.removeAttribute("aria-busy");
    }
  }
}

function* itemsOf(conversation, onDelete) {
  const {log, members} = conversation;
  const calls = conversation.calls;
  const {seenBy, lastOwn} = conversation;
  let before; // the message above, if it belongs to the same breath
  let today;
  for (const event of log) {
    const item = itemOf(event, conversation, calls);
    if (!item) continue;
    const date = day(event.timestamp);
    if (date !== today) {
      yield {key: `day ${date}`, signature: date, build: () => element("li", {class: "day"}, element("span", {text: date}))};
      today = date;
      before = undefined;
    }
    if (event.type !== "text") {
      before = undefined;
      yield item;
      continue;
    }
    const id = Number(event.id);
    const continued = before !== undefined && before.from === event.from && Date.parse(event.timestamp) - Date.parse(before.timestamp) < SAME_BREATH;
    const readers = seenBy.get(id);
    const status = readers ? `Seen by ${readers.join(", ")}` : id === lastOwn ? "Sent" : "";
    const name = members.shownName(event.from);
    const signature = [name, continued, status, isDeleted(event), members.isMine(event.from)].join("|");
    yield {key: `event ${id}`, signature, build: () => message(event, conversation, {name, continued, status, onDelete})};
    before = event;
  }
  for (const entry of conversation.outbox.entries) {
    yield {key: `tag ${entry.tag}`, signature: `${entry.state} ${entry.reason}`, build: () => unsent(entry, conversation.outbox)};
  }
}

function itemOf(event, conversation, calls) {
  const id = Number(event.id);
  const key = `event ${id}`;
  if (event.type === "text") return {key};
  const text = notice(event, conversation.members);
  if (text) return {key, signature: text, build: () => element("li", {class: "notice", text, "data-event": id})};
  const call = calls.get(id);
  if (!call) return undefined;
  const lines = call.legs.map((leg) => ({name: conversation.members.shownName(leg.member), leg}));
  const caller = conversation.members.shownName(call.caller);
  const signature = [caller, ...lines.map(({name, leg}) => `${name} ${leg.status} ${leg.seconds}`)].join("|");
  return {key, signature, build: () => callCard(event, caller, lines)};
}

function notice({type, body, from}, members) {
  const name = members.shownName(body?.member_id ?? from);
  switch (type) {
    case "member:joined":
      return `${name} joined`;
    case "member:invited":
      return body.invited_by_member ? `${members.shownName(body.invited_by_member)} invited ${name}` : `${name} was invited`;
    case "member:left":
      return body.timestamp?.joined ? `${name} left` : `${name} declined the invitation`;
    case "conversation:updated":
      return `The conversation is called “${body.display_name ?? body.name}” now`;
    case "custom:call":
      return undefined;
    default:
      return isMessage(type) ? `${members.shownName(from)} sent something that this page does not show (${type})` : undefined;
  }
}

function message(event, conversation, {name, continued, status, onDelete}) {
  const id = Number(event.id);
  const mine = conversation.members.isMine(event.from);
  const deleted = isDeleted(event);
  const text = deleted ? "This message was deleted" : String(event.body?.text ?? "");
  const remove = mine && !deleted && element("button", {
    type: "button", class: "quiet small", text: "Delete", "data-control": "delete", "aria-label": `Delete “${text.slice(0, 40)}”`,
    tabindex: -1, on: {click: () => onDelete(id, text)},
  });
  return element("li", {class: `message${mine ? " own" : ""}${continued ? " continued" : ""}`, "data-event": id},
    !mine && avatar(name),
    element("div", {class: "said"},
      element("p", {class: "byline"},
        element("span", {class: continued || mine ? "name unseen" : "name", text: name}),
        element("time", {datetime: event.timestamp, title: exact(event.timestamp), text: clock(event.timestamp)})),
      element("div", {class: "line"},
        element("p", {class: deleted ? "bubble gone" : "bubble", dir: "auto"}, ...linked(text)),
        remove),
      status && element("p", {class: "status", text: status})));
}

function unsent(entry, outbox) {
  const failed = entry.state === "failed";
  return element("li", {class: `message own unsent ${entry.state}`, "data-tag": entry.tag},
    element("div", {class: "said"},
      element("p", {class: "byline"}, element("span", {class: "name unseen", text: "You"}), element("time", {text: clock(entry.written)})),
      element("div", {class: "line"}, element("p", {class: "bubble", text: entry.text, dir: "auto"})),
      element("p", {class: "status", text: failed ? `${STATES.failed}: ${entry.reason}` : STATES[entry.state]}),
      failed && element("p", {class: "remedy"},
        element("button", {type: "button", class: "quiet small", text: "Try again", "data-control": "again", on: {click: () => outbox.again(entry.tag)}}),
        element("button", {type: "button", class: "quiet small", text: "Discard", "data-control": "discard", on: {click: () => outbox.discard(entry.tag)}}))));
}

function callCard(event, caller, lines) {
  return element("li", {class: "call-card", "data-event": Number(event.id)},
    element("p", {class: "title"}, `${caller} called `, element("time", {datetime: event.timestamp, text: clock(event.timestamp)})),
    element("ul", {}, ...lines.map(({name, leg}) => element("li", {class: `leg ${leg.status}`},
      element("span", {text: name}),
      element("span", {class: "leg-state", text: (LEG_STATES[leg.status] ?? "") + (leg.seconds ? `, ${duration(leg.seconds)}` : "")})))));
}
