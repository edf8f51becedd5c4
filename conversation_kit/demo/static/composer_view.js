// Where messages are written. Each conversation keeps its own draft.

export class ComposerView {
  #drafts = new Map();
  #conversation;

  constructor({form, field}) {
    this.form = form;
    this.field = field;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    field.addEventListener("keydown", (event) => {
      // Enter also ends the choice of a character in many writing systems; that is not the end of the message.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    field.addEventListener("input", () => {
      this.#grow();
      if (field.value) this.#conversation?.typing.touched();
      else this.#conversation?.typing.stopped();
    });
    field.addEventListener("blur", () => this.#conversation?.typing.stopped());
  }

  show(conversation) {
    if (conversation === this.#conversation) return;
    if (this.#conversation) this.#drafts.set(this.#conversation.id, this.field.value);
    this.#conversation = conversation;
    this.field.value = this.#drafts.get(conversation.id) ?? "";
    this.field.setAttribute("aria-label", `Message to ${conversation.title}`);
    this.#grow();
  }

  #send() {
    const text = this.field.value.trim();
    if (!text || !this.#conversation) return;
    this.field.value = "";
    this.#grow();
    this.#conversation.send(text);
    this.field.focus();
  }

  #grow() {
    this.field.rows = Math.min(6, this.field.value.split("\n").length);
  }
}
