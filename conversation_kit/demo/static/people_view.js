// Who is in a conversation, and who may be asked to come.

import {avatar, element} from "./dom.js";
import {Rows} from "./rows.js";

export class PeopleView {
  #rows;

  constructor({list, form, select}, {session, onInvite}) {
    this.session = session;
    this.form = form;
    this.select = select;
    this.#rows = new Rows(list, (item) => item.build());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      onInvite(select.value);
    });
  }

  show(conversation) {
    const {members} = conversation;
    this.#rows.show(members.present.map(({id, state}) => {
      const name = members.shownName(id);
      const note = state === "invited" ? "invited" : members.isMine(id) ? "you" : "";
      const build = () => element("li", {}, avatar(name), element("span", {text: name}), note && element("span", {class: "note", text: note}));
      return {key: id, signature: `${name} ${note}`, build};
    }));
    const here = new Set(members.present.map(({name}) => name));
    const others = this.session.people.filter(({name}) => !here.has(name));
    this.form.hidden = others.length === 0;
    const names = others.map(({name}) => name).join(" ");
    if (this.select.dataset.names === names) return;
    this.select.dataset.names = names;
    this.select.replaceChildren(...others.map(({name, display_name}) => element("option", {value: name, text: display_name})));
  }
}
