// The chat page: puts the user's conversations and their views together.

import {Api} from "./api.js";
import {CallView} from "./call_view.js";
import {ComposerView} from "./composer_view.js";
import {askToDelete} from "./delete.js";
import {find, say} from "./dom.js";
import {HistoryView} from "./history_view.js";
import {Inbox} from "./inbox.js";
import {ListView} from "./list_view.js";
import {PeopleView} from "./people_view.js";
import {Retry} from "./retry.js";
import {Session} from "./session.js";
import {startConversation} from "./start.js";
import {Toast} from "./toast.js";

const MOMENT = 16;
const toast = new Toast(find("#toast"));

class Chat {
  #selected;
  #drawing = false;
  #isOver = false;

  constructor(session) {
    this.session = session;
    this.api = new Api(session);
    this.inbox = new Inbox(this.api);
    this.list = new ListView(find("#list"), {
      onSelect: (conversation) => this.select(conversation),
      onAnswer: (row, accepted) => toast.during(() => this.#answer(row, accepted)),
    });
    this.history = new HistoryView({
      scroller: find("#scroller"), list: find("#messages"), earlier: find("#earlier"), newer: find("#newer"),
      onProblem: (error) => toast.show(error.message),
      onDelete: (id, text) => {
        const conversation = this.#selected.id;
        askToDelete(text, () => toast.during(() => this.api.remove(conversation, id)));
      },
    });
    this.composer = new ComposerView({form: find("#composer"), field: find("#text")});
    this.people = new PeopleView({list: find("#members"), form: find("#invite"), select: find("#invitee")}, {
      session, onInvite: (name) => toast.during(() => this.api.invite(this.#selected.id, name)),
    });
    this.calls = new CallView({bar: find("#call-bar"), text: find("#call-text"), actions: find("#call-actions")}, (leg, status) =>
      toast.during(() => this.api.moveLeg(leg.id, status)));
    this.inbox.addEventListener("change", () => this.#draw());
    this.inbox.addEventListener("refused", ({detail}) => {
      this.#isOver = true;
      refuse(detail);
    });
    document.addEventListener("visibilitychange", () => this.#draw());
    this.#wire();
    const name = session.shownName(session.role);
    say(find("#who"), name);
    this.#draw();
  }

  select(conversation) {
    this.#selected = conversation;
    // What is open stays so when the page is loaded again, or what came meanwhile elsewhere would be opened and taken for seen.
    history.replaceState({open: conversation.id}, "");
    find("#chat").dataset.shows = "conversation";
    this.#drawNow();
    // Where fingers do the pointing, the focus on a field would bring up the keyboard.
    find(matchMedia("(pointer: coarse)").matches ? "#scroller" : "#text").focus({preventScroll: true});
  }

  #wire() {
    find("#back").addEventListener("click", () => {
      find("#chat").dataset.shows = "list";
      find("#list [aria-current]")?.focus();
    });
    find("#skip").addEventListener("click", () => find("#text").focus());
    find("#toggle").addEventListener("click", () => this.#showPeople(find("#people").hidden));
    find("#people").addEventListener("keydown", ({key}) => {
      if (key !== "Escape") return;
      this.#showPeople(false);
      find("#toggle").focus();
    });
    find("#call").addEventListener("click", () => toast.during(() => this.api.call(this.#selected.id)));
    find("#leave").addEventListener("click", () => toast.during(() => this.#leave()));
    find("#start").addEventListener("click", () => startConversation(this.api, this.session, toast, (id) => this.#open(id)));
  }

  #showPeople(open) {
    find("#people").hidden = !open;
    find("#toggle").setAttribute("aria-expanded", String(open));
  }

  async #open(id) {
    await this.inbox.refresh();
    const conversation = this.inbox.conversations.get(id);
    if (conversation) this.select(conversation);
  }

  async #answer(row, accepted) {
    if (!accepted) {
      await this.api.leave(row.id, row.member_id);
      return this.inbox.refresh();
    }
    await this.api.accept(row.id, row.member_id);
    return this.#open(row.id);
  }

  async #leave() {
    await this.api.leave(this.#selected.id, this.#selected.members.mine.id);
    await this.inbox.refresh();
    find("#start").focus();
  }

  // Several events in one moment are one drawing. It does not wait for the browser to paint, which it never does in the background, where
  // the title tells what is unread.
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    setTimeout(() => {
      this.#drawing = false;
      this.#drawNow();
    }, MOMENT);
  }

  #drawNow() {
    if (this.#isOver) return;
    const {inbox} = this;
    if (inbox.state !== "loading" && find("#chat").dataset.shows === "nothing") find("#chat").dataset.shows = "list";
    if (this.#selected && inbox.conversations.get(this.#selected.id) !== this.#selected) {
      // Left, or a new membership of the same conversation.
      this.#selected = inbox.conversations.get(this.#selected.id);
      if (!this.#selected) find("#chat").dataset.shows = "list";
    }
    // Where there is room for both, one conversation is always open.
    if (!this.#selected && !matchMedia("(max-width: 35rem)").matches) {
      this.#selected = inbox.conversations.get(history.state?.open) ?? inbox.sorted[0];
    }
    const conversation = this.#selected;
    this.list.show(inbox, conversation);
    say(find("#connection"), inbox.isCut ? "Reconnecting… What you write is kept and sent as soon as the server is back." : "");
    find("#conversation").hidden = find("#skip").hidden = !conversation;
    find("#nothing").hidden = Boolean(conversation);
    if (inbox.state === "live") say(find("#nothing-text"), "No conversation is open. Start one, or wait for an invitation.");
    if (conversation) this.#drawConversation(conversation);
    const {unread} = inbox;
    const name = this.session.shownName(this.session.role);
    document.title = unread ? `(${unread}) ${name} · Chat` : `${name} · Chat`;
  }

  #drawConversation(conversation) {
    conversation.start();
    const {members} = conversation;
    if (members.present.length || !find("#members").children.length) this.people.show(conversation);
    find("#conversation").setAttribute("aria-busy", String(conversation.state === "loading"));
    say(find("#title"), conversation.title);
    say(find("#subtitle"), members.present.filter(({state}) => state === "joined").map(({id}) => (members.isMine(id) ? "You" : members.shownName(id))).join(", "));
    this.composer.show(conversation);
    this.history.show(conversation);
    const others = members.present.filter(({id, state}) => state === "joined" && !members.isMine(id));
    find("#call").disabled = this.calls.show(conversation) || others.length === 0;
    const typists = conversation.typing.members.map((id) => members.shownName(id));
    say(find("#typing"), typists.length ? `${typists.join(" and ")} ${typists.length === 1 ? "is" : "are"} typing…` : "");
    if (this.#isSeen()) toast.during(() => conversation.markSeen());
  }

  // Whether the end of the conversation is before the user's eyes.
  #isSeen() {
    return document.visibilityState === "visible" && this.history.isAtEnd && find("#scroller").checkVisibility();
  }
}

function refuse(error) {
  find("#conversation").hidden = true;
  find("#nothing").hidden = false;
  find("#chat").dataset.shows = "nothing";
  say(find("#nothing-text"), error.message);
}

const retry = new Retry(open);

async function open() {
  try {
    new Chat(await Session.open((role) => role !== "operator" && role !== "everybody"));
    say(find("#connection"), "");
  } catch (error) {
    if (!error.isPassing) return refuse(error);
    say(find("#connection"), "Reconnecting…");
    retry.later();
  }
}

// Another person's link in the same window is another page.
addEventListener("hashchange", () => location.reload());
open();
