// The conversations of a user: those joined are live, invitations wait for an answer.

import {Conversation} from "./conversation.js";
import {Retry} from "./retry.js";

// Invitations and new conversations are no events of a conversation that the page listens to.
const REFRESH = 2500;

// A stream costs both sides something. The conversations beyond these wake up when they are opened.
const LISTENING = 50;

export class Inbox extends EventTarget {
  state = "loading"; // then "live" or "reconnecting"
  conversations = new Map();
  invitations = new Map();
  #timer;
  #asking;
  #retry = new Retry(() => this.refresh());

  constructor(api) {
    super();
    this.api = api;
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.refresh());
    this.refresh();
  }

  // The newest activity first.
  get sorted() {
    return [...this.conversations.values()].sort((a, b) => b.activity.localeCompare(a.activity) || b.id.localeCompare(a.id));
  }

  get unread() {
    let sum = 0;
    for (const conversation of this.conversations.values()) sum += conversation.unread.count;
    return sum;
  }

  // Of all connections, how the worst one is.
  get isCut() {
    return this.state === "reconnecting" || [...this.conversations.values()].some(({state}) => state === "reconnecting");
  }

  refresh() {
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #ask() {
    clearTimeout(this.#timer);
    let rows;
    try {
      rows = await this.api.myConversations();
    } catch (error) {
      this.state = "reconnecting";
      this.#changed();
      if (error.isPassing) this.#retry.later();
      else this.dispatchEvent(new CustomEvent("refused", {detail: error}));
      return;
    }
    this.#retry.succeeded();
    this.state = "live";
    this.#take(rows);
    this.#timer = setTimeout(() => document.visibilityState === "visible" && this.refresh(), REFRESH);
    this.#changed();
  }

  #take(rows) {
    const joined = new Map(rows.filter(({state}) => state === "joined").map((row) => [row.id, row]));
    this.invitations = new Map(rows.filter(({id, state}) => state === "invited" && !joined.has(id)).map((row) => [row.id, row]));
    for (const [id, conversation] of this.conversations) {
      // Who left and joined again has another membership, whose stream is another one.
      if (joined.get(id)?.member_id === conversation.memberId) continue;
      this.conversations.delete(id);
      conversation.close();
    }
    for (const [id, row] of joined) {
      if (this.conversations.has(id)) continue;
      const conversation = new Conversation(this.api, row);
      conversation.addEventListener("change", () => {
        this.#changed();
        if (conversation.state === "ended") this.refresh();
      });
      this.conversations.set(id, conversation);
    }
    // The list begins with the newest ones.
    [...joined.keys()].slice(0, LISTENING).forEach((id) => this.conversations.get(id).start());
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
