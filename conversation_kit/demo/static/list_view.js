// The list of conversations, with what is new in each, and the invitations above it.

import {avatar, element} from "./dom.js";
import {isDeleted} from "./log.js";
import {Rows} from "./rows.js";
import {brief} from "./times.js";

export class ListView {
  #rows;

  constructor(list, {onSelect, onAnswer}) {
    this.onSelect = onSelect;
    this.onAnswer = onAnswer;
    this.#rows = new Rows(list, (item) => item.build());
  }

  show(inbox, selected) {
    this.#rows.show([
      ...[...inbox.invitations.values()].map((row) => this.#invitation(row)),
      ...inbox.sorted.map((conversation) => this.#conversation(conversation, conversation === selected)),
    ]);
  }

  #invitation(row) {
    const title = row.display_name ?? row.name;
    const answer = (accepted) => () => this.onAnswer(row, accepted);
    const build = () => element("li", {class: "invitation", "aria-label": `Invitation to ${title}`},
      element("p", {}, "You are invited to ", element("strong", {text: title, dir: "auto"})),
      element("p", {class: "answers"},
        element("button", {type: "button", class: "primary small", text: "Join", "data-control": "join", on: {click: answer(true)}}),
        element("button", {type: "button", class: "quiet small", text: "Decline", "data-control": "decline", on: {click: answer(false)}})));
    return {key: `invitation ${row.member_id}`, signature: title, build};
  }

  #conversation(conversation, current) {
    const {title, unread, lastMessage: last} = conversation;
    const typing = conversation.typing.members.length > 0;
    const ringing = [...conversation.calls.values()].some((call) => call.isLive);
    const preview = ringing ? "Call" : typing ? "typing…" : last ? said(last) : conversation.state === "ready" ? "No messages yet" : "";
    const badge = unread.count > 99 ? "99+" : unread.count ? String(unread.count) : "";
    const at = last ? brief(last.timestamp) : "";
    const signature = [title, preview, badge, at, current].join("\n");
    const build = () => element("li", {},
      element("button", {type: "button", class: "entry", "data-control": "open", "aria-current": current && "true", on: {click: () => this.onSelect(conversation)}},
        avatar(title),
        element("span", {class: "what"},
          element("span", {class: "title", text: title, dir: "auto"}),
          element("span", {class: typing || ringing ? "preview lively" : "preview", text: preview, dir: "auto"})),
        element("span", {class: "when"},
          element("time", {text: at}),
          badge && element("span", {class: "badge"}, badge, element("span", {class: "unseen", text: " unread"})))));
    return {key: `conversation ${conversation.id}`, signature, build};
  }
}

function said(event) {
  if (isDeleted(event)) return "Deleted message";
  if (event.type === "text") return String(event.body?.text);
  return event.type === "custom:call" ? "Call" : "Something else";
}
