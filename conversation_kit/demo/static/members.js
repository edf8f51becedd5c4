// The members of a conversation, by id: as they were when the page asked, and as events have changed them since.

const STATES = {"member:invited": "invited", "member:joined": "joined", "member:left": "left"};

export class Members {
  #members = new Map();

  constructor(session) {
    this.session = session;
  }

  reset(listed) {
    this.#members.clear();
    for (const {member_id: id, user_id: userId, name, state} of listed) this.#members.set(id, {id, userId, name, state});
  }

  heard(event) {
    const state = STATES[event.type];
    if (!state) return;
    const {member_id: id, user} = event.body;
    this.#members.set(id, {id, userId: user.user_id ?? user.id, name: user.name, state});
  }

  get present() {
    return [...this.#members.values()].filter(({state}) => state !== "left");
  }

  get mine() {
    return this.present.find(({userId}) => userId === this.session.userId);
  }

  isMine(id) {
    return this.#members.get(id)?.userId === this.session.userId;
  }

  // What the page calls a member; events of an admin have none.
  shownName(id) {
    const member = this.#members.get(id);
    return member ? this.session.shownName(member.name) : id ? "Somebody" : "The application";
  }

  userName(id) {
    return this.#members.get(id)?.name ?? "";
  }
}
