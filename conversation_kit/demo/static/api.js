// The kit's API and the host's own, as whoever the session is.

import {request} from "./http.js";
import {BASE} from "./session.js";

const PAGE = 100;

export class Api {
  constructor(session) {
    this.session = session;
  }

  async #ask(method, path, body, key) {
    const once = () => request(method, path, {body, key, token: this.session.token});
    try {
      return await once();
    } catch (error) {
      if (error.code !== "system:error:expired-token") throw error;
      await this.session.renew();
      return once();
    }
  }

  // Conversations

  myConversations() {
    return this.#all(`${BASE}/users/${this.session.userId}/conversations?order=desc`);
  }

  conversation(id) {
    return this.#ask("GET", `${BASE}/conversations/${id}`);
  }

  conversations(index, size) {
    return this.#ask("GET", `${BASE}/conversations?order=desc&page_size=${size}&record_index=${index}`);
  }

  createConversation(displayName) {
    return this.#ask("POST", `${BASE}/conversations`, {display_name: displayName});
  }

  // For the stream of one conversation.
  ticket(id) {
    return this.#ask("POST", `${BASE}/conversations/${id}/tickets`);
  }

  // For the stream of all conversations of the user.
  userTicket() {
    return this.#ask("POST", `${BASE}/users/${this.session.userId}/tickets`);
  }

  // Members

  join(id) {
    return this.#ask("POST", `${BASE}/conversations/${id}/members`, {action: "join", user_name: this.session.role});
  }

  invite(id, name) {
    return this.#ask("POST", `${BASE}/conversations/${id}/members`, {action: "invite", user_name: name});
  }

  accept(id, memberId) {
    return this.#ask("PUT", `${BASE}/conversations/${id}/members/${memberId}`, {action: "join"});
  }

  leave(id, memberId) {
    return this.#ask("DELETE", `${BASE}/conversations/${id}/members/${memberId}`);
  }

  // Events

  eventsUpTo(id, endId, size) {
    const end = endId === undefined ? "" : `&end_id=${endId}`;
    return this.#ask("GET", `${BASE}/conversations/${id}/events?order=desc&page_size=${size}${end}`);
  }

  eventsFrom(id, startId) {
    return this.#ask("GET", `${BASE}/conversations/${id}/events?page_size=${PAGE}&start_id=${startId}`);
  }

  // With `key`, the same message may be sent again and again, and is in the log once.
  post(id, type, body, key) {
    return this.#ask("POST", `${BASE}/conversations/${id}/events`, {type, body}, key);
  }

  remove(id, eventId) {
    return this.#ask("DELETE", `${BASE}/conversations/${id}/events/${eventId}`);
  }

  // Calls: those who speak are people, so the host's telephony is asked. Lists are for operators.

  call(id) {
    return this.#ask("POST", "/demo/calls", {conversation_id: id});
  }

  moveLeg(legId, status) {
    return this.#ask("POST", `/demo/legs/${encodeURIComponent(legId)}`, {status});
  }

  legs(index, size) {
    return this.#ask("GET", `${BASE}/legs?order=desc&page_size=${size}&record_index=${index}`);
  }

  hangUp(legId) {
    return this.#ask("DELETE", `${BASE}/legs/${encodeURIComponent(legId)}`);
  }

  // All pages of a list that is a bare array.
  async #all(path) {
    const rows = [];
    for (;;) {
      const page = await this.#ask("GET", `${path}&page_size=${PAGE}&record_index=${rows.length}`);
      rows.push(...page);
      if (page.length < PAGE) return rows;
    }
  }
}
