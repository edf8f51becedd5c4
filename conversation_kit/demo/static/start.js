// Starting a conversation: its name, and who is invited.

import {element, find} from "./dom.js";

export function startConversation(api, session, toast, onStarted) {
  const dialog = find("#new");
  const form = find("#new-form");
  const others = session.people.filter(({name}) => name !== session.role);
  form.reset();
  find("#new-people").replaceChildren(...others.map(({name, display_name}) =>
    element("label", {class: "choice"}, element("input", {type: "checkbox", name: "invite", value: name}), display_name)));
  find("#new-cancel").onclick = () => dialog.close();
  form.onsubmit = () => {
    const title = find("#new-name").value.trim();
    const invited = [...form.querySelectorAll(":checked")].map(({value}) => value);
    if (title) toast.during(() => start(api, title, invited).then(onStarted));
  };
  dialog.showModal();
}

async function start(api, title, invited) {
  const {id} = await api.createConversation(title);
  await api.join(id);
  for (const name of invited) await api.invite(id, name);
  return id;
}
