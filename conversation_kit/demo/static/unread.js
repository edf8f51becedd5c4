// How many messages of a conversation its user has not read: as the server counts them, kept current by what is heard since.

import {isMessage} from "./log.js";

export class Unread {
  count = 0;
  // Whether only the server can tell by now: something was not heard, or another client saw a part of what was there before.
  isStale = false;
  #newest = 0;
  #seen = 0;
  #counted = 0; // up to this event the server counted
  #heard = []; // the ids of unread messages after that
  #members = new Set();

  // The user's memberships of the conversation, as a list of conversations has them that is not older than what was heard.
  reset(rows) {
    this.#members = new Set(rows.map((row) => row.member_id));
    // What was read as one member is read.
    const {seen, unread, sequence_number: newest} = rows.reduce((one, other) => (other.seen > one.seen ? other : one));
    this.#newest = this.#counted = newest;
    this.#seen = seen;
    this.#heard = [];
    this.count = unread;
    this.isStale = false;
  }

  heard({id: text, type, from, body}) {
    const id = Number(text);
    if (id <= this.#newest) return;
    if (id > this.#newest + 1) this.isStale = true;
    this.#newest = id;
    const isMine = this.#members.has(from);
    if (isMessage(type)) {
      if (isMine) this.#see(id);
      else {
        this.#heard.push(id);
        this.count += 1;
      }
    } else if (isMine && type.endsWith(":seen")) this.#see(Number(body.event_id));
    else if (type === "event:delete") this.#forget(Number(body.event_id));
  }

  // A message that is deleted is unread no more. Of what was there before only the server knows whether it was one.
  #forget(id) {
    if (id <= this.#seen) return;
    if (this.#heard.includes(id)) {
      this.#heard = this.#heard.filter((message) => message !== id);
      this.count -= 1;
    } else if (this.count > this.#heard.length) this.isStale = true;
  }

  #see(id) {
    if (id <= this.#seen) return;
    this.#seen = id;
    this.#heard = this.#heard.filter((message) => message > id);
    if (id >= this.#counted) this.count = this.#heard.length;
    else if (this.count > this.#heard.length) this.isStale = true;
  }
}
