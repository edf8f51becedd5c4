// The call that goes on in the conversation, and what its user can do about it.

import {element, say} from "./dom.js";

export class CallView {
  #signature;

  constructor({bar, text, actions}, onMove) {
    this.bar = bar;
    this.text = text;
    this.actions = actions;
    this.onMove = onMove;
  }

  // Whether there is a call.
  show(conversation) {
    const {members} = conversation;
    const call = [...conversation.calls.values()].reverse().find((call) => call.isLive);
    this.bar.hidden = !call;
    const own = call?.legOf((id) => members.isMine(id));
    const mine = call !== undefined && members.isMine(call.caller);
    const live = call?.legs.filter((leg) => leg.isLive) ?? [];
    const [talking, ringing] = [true, false].map((answered) => live
      .filter((leg) => (leg.status === "answered") === answered).map((leg) => members.shownName(leg.member)).join(", "));
    const moves = !call ? [] : mine ? [["Hang up", "danger", live.map((leg) => [leg, leg.status === "answered" ? "completed" : "cancelled"])]]
      : own?.status === "answered" ? [["Hang up", "danger", [[own, "completed"]]]]
      : own ? [["Answer", "primary", [[own, "answered"]]], ["Decline", "danger", [[own, "rejected"]]]] : [];
    const caller = call ? members.shownName(call.caller) : "";
    say(this.text, !call ? "" : mine ? [talking && `In a call with ${talking}`, ringing && `Calling ${ringing}…`].filter(Boolean).join(". ")
      : own?.status === "answered" ? `In a call with ${caller}` : own ? `${caller} is calling` : `${caller} is in a call`);
    const signature = moves.map(([label, , legs]) => [label, ...legs.map(([leg, status]) => leg.id + status)].join(" ")).join("|");
    if (signature !== this.#signature) {
      this.#signature = signature;
      const hadFocus = this.actions.contains(document.activeElement);
      this.actions.replaceChildren(...moves.map(([label, kind, legs]) => element("button", {
        type: "button", class: `${kind} small`, text: label, on: {click: () => legs.forEach(([leg, status]) => this.onMove(leg, status))},
      })));
      if (hadFocus) this.actions.firstElementChild?.focus();
    }
    return call !== undefined;
  }
}
