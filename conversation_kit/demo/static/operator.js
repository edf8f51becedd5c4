// The operator's page: the conversations, members, events and legs of the application.

import {Api} from "./api.js";
import {element, find, say} from "./dom.js";
import {EventTable} from "./event_table.js";
import {Pager} from "./pager.js";
import {Rows} from "./rows.js";
import {Session} from "./session.js";
import {exact} from "./times.js";
import {Toast} from "./toast.js";

// Lists have no stream of their own; the log of the conversation that is looked at has.
const REFRESH = 2000;
const toast = new Toast(find("#toast"));

class Operator {
  #selected; // a conversation's id
  #events;
  #names = new Map(); // of conversations, by id

  constructor(session) {
    this.session = session;
    this.api = new Api(session);
    this.rows = Object.fromEntries(["conversations", "members", "legs"].map((name) => [name, new Rows(find(`#${name}`), (item) => item.build())]));
    const again = () => this.refresh();
    this.conversations = new Pager("conversations", again);
    this.legs = new Pager("legs", again);
    document.addEventListener("visibilitychange", again);
    find("main").hidden = false;
    this.refresh();
  }

  #timer;
  #asking = false;

  async refresh() {
    if (this.#asking) return;
    this.#asking = true;
    clearTimeout(this.#timer);
    try {
      await this.#ask();
      this.#tell("Lists are read every two seconds, events come live.");
    } catch (error) {
      if (error.code === undefined && !error.isPassing) throw error; // a mistake of this page belongs into the console
      this.#tell(error.isPassing ? "Reconnecting…" : error.message, true);
    } finally {
      this.#asking = false;
      this.#timer = setTimeout(() => document.visibilityState === "visible" && this.refresh(), REFRESH);
    }
  }

  #tell(text, cut = false) {
    say(find("#connection"), text);
    find("#connection").classList.toggle("cut", cut);
  }

  async #ask() {
    const [conversations, legs] = await Promise.all([
      this.api.conversations(this.conversations.index, Pager.SIZE), this.api.legs(this.legs.index, Pager.SIZE),
    ]);
    this.conversations.show(conversations.count);
    this.legs.show(legs.count);
    const listed = conversations._embedded.conversations.map(({uuid}) => uuid);
    if (!this.#selected && listed.length) this.#select(listed[0]);
    const wanted = new Set([...listed, this.#selected].filter(Boolean));
    // One that was deleted in between is not there; that is no problem of this page.
    const found = await Promise.all([...wanted].map((id) => this.api.conversation(id).catch((error) => {
      if (error.status === 404) return undefined;
      throw error;
    })));
    const details = new Map(found.filter(Boolean).map((conversation) => [conversation.uuid, conversation]));
    for (const [id, {name, display_name}] of details) this.#names.set(id, display_name ?? name);
    this.rows.conversations.show(listed.filter((id) => details.has(id)).map((id) => this.#conversationRow(details.get(id))));
    this.#showSelected(details.get(this.#selected));
    this.rows.legs.show(legs._embedded.legs.map((leg) => this.#legRow(leg)));
  }

  #select(id) {
    if (id === this.#selected) return;
    this.#selected = id;
    this.#events?.close();
    this.#events = new EventTable(this.api, id, {onProblem: (error) => toast.show(error.message)});
    this.refresh();
  }

  #showSelected(conversation) {
    const title = conversation ? this.#names.get(conversation.uuid) : "";
    say(find("#log-title"), title ? `Events of ${title}` : "Events");
    say(find("#members-title"), title ? `Members of ${title}` : "Members");
    const members = conversation?.members ?? [];
    this.#events?.name(new Map(members.map(({member_id: id, name}) => [id, name])));
    this.rows.members.show(members.map((member) => {
      const since = exact(member.timestamp[member.state]);
      const build = () => element("tr", {class: member.state}, element("td", {text: member.name}), element("td", {text: member.state}),
        element("td", {text: member.channel.type}), element("td", {class: "time", text: since}));
      return {key: member.member_id, signature: `${member.name} ${member.state} ${since}`, build};
    }));
  }

  #conversationRow({uuid, name, display_name, members, sequence_number}) {
    const title = display_name ?? name;
    const joined = members.filter(({state}) => state === "joined").length;
    const current = uuid === this.#selected;
    const build = () => element("tr", {"aria-current": current && "true"},
      element("td", {},
        element("button", {type: "button", class: "pick", text: title, dir: "auto", "data-control": "pick", on: {click: () => this.#select(uuid)}}),
        element("span", {class: "id", text: uuid})),
      element("td", {class: "number", text: joined, "data-label": "Joined"}),
      element("td", {class: "number", text: sequence_number, "data-label": "Events"}));
    return {key: uuid, signature: [title, joined, sequence_number, current].join("\n"), build};
  }

  #legRow(leg) {
    const end = ({user, number, type}) => user ?? number ?? type;
    const answered = exact(leg.start_time);
    const hangUp = leg.state !== "terminated" && element("button", {
      type: "button", class: "danger small", text: "Hang up", "data-control": "hang-up",
      on: {click: () => toast.during(() => this.api.hangUp(leg.uuid).then(() => this.refresh()))},
    });
    const build = () => element("tr", {},
      element("td", {}, element("span", {class: `lamp ${leg.status}`, text: leg.status})),
      element("td", {text: leg.type}), element("td", {text: end(leg.from), "data-label": "From"}), element("td", {text: end(leg.to), "data-label": "To"}),
      element("td", {class: "time", text: answered, "data-label": "Answered"}), element("td", {class: "number", text: leg.duration ?? "", "data-label": "Seconds"}), element("td", {class: "number"}, hangUp));
    return {key: leg.uuid, signature: `${leg.status} ${answered} ${leg.duration}`, build};
  }
}

try {
  new Operator(await Session.open((role) => role === "operator"));
} catch (error) {
  if (error.code === undefined && !error.isPassing) throw error;
  say(find("#connection"), error.message);
  find("#connection").classList.add("cut");
}
addEventListener("hashchange", () => location.reload());
