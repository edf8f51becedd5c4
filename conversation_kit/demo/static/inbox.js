// The conversations of a user: those joined, which are live by one stream for all of them, and invitations, which wait for an answer.

import {Conversation} from "./conversation.js";
import {Retry} from "./retry.js";
import {Stream} from "./stream.js";

// What was said last stands in the logs only. Those of the newest conversations are read at once, others when something happens in them
// or they are opened.
const READ_AT_ONCE = 50;

const OF_MEMBERS = new Set(["member:invited", "member:joined", "member:left"]);

export class Inbox extends EventTarget {
  state = "loading"; // then "live" or "reconnecting"
  conversations = new Map();
  invitations = new Map();
  #isConnected = false;
  #asking = Promise.resolve();
  #next;
  #retry = new Retry(() => this.refresh());

  constructor(api) {
    super();
    this.api = api;
    // The stream first: what happens after the list was made comes over it.
    new Stream(() => api.userTicket(), undefined, {
      onEvent: (event) => this.#heard(event),
      onState: (state, problem) => this.#connected(state, problem),
    });
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

  // Whether anything cannot be had from the server at the moment.
  get isCut() {
    return this.state === "reconnecting" || [...this.conversations.values()].some(({state}) => state === "reconnecting");
  }

  // Resolves when a list is there that was asked for after this call.
  refresh() {
    this.#next ??= this.#asking.then(() => {
      this.#next = undefined;
      return (this.#asking = this.#ask());
    });
    return this.#next;
  }

  #connected(state, problem) {
    if (state === "ended") return this.#refused(problem);
    this.#isConnected = state === "live";
    if (this.#isConnected) this.refresh(); // and live as soon as that is there
    else this.state = "reconnecting";
    this.#changed();
  }

  #heard(event) {
    const conversation = this.conversations.get(event.conversation_id);
    conversation?.heard(event);
    const isOfUser = OF_MEMBERS.has(event.type) && (event.body.user.user_id ?? event.body.user.id) === this.api.session.userId;
    // The list is another one, or knows better.
    if (!conversation || isOfUser || event.type === "conversation:removed" || conversation.unread.isStale) this.refresh();
    this.#changed();
  }

  async #ask() {
    let rows;
    try {
      rows = await this.api.myConversations();
    } catch (error) {
      if (!error.isPassing) return this.#refused(error);
      this.state = "reconnecting";
      this.#retry.later();
      this.#changed();
      return;
    }
    this.#retry.succeeded();
    if (this.#isConnected) this.state = "live";
    this.#take(rows);
    this.#changed();
  }

  #take(rows) {
    // Who is joined over several channels is listed several times.
    const {joined = [], invited = []} = Object.groupBy(rows, ({state}) => state);
    const memberships = Map.groupBy(joined, ({id}) => id);
    this.invitations = new Map(invited.filter(({id}) => !memberships.has(id)).map((row) => [row.id, row]));
    for (const [id, conversation] of this.conversations) {
      // Who left and joined again may not have what was said in between.
      if (memberships.get(id)?.some(({member_id: memberId}) => conversation.memberIds.has(memberId))) continue;
      this.conversations.delete(id);
      conversation.close();
    }
    for (const [id, rows] of memberships) {
      if (!this.conversations.has(id)) this.conversations.set(id, this.#make(id));
      this.conversations.get(id).update(rows);
    }
    // The list begins with the newest ones.
    [...memberships.keys()].slice(0, READ_AT_ONCE).forEach((id) => this.conversations.get(id).start());
  }

  #make(id) {
    const conversation = new Conversation(this.api, id, () => this.state === "live");
    conversation.addEventListener("change", () => this.#changed());
    conversation.addEventListener("refused", () => this.refresh());
    return conversation;
  }

  #refused(problem) {
    this.dispatchEvent(new CustomEvent("refused", {detail: problem}));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
