// Who looks at this page: the key behind the # of its address is exchanged for a token.
// A browser sends what is behind the # to nobody, so neither the key nor the token is in a log.

import {request} from "./http.js";

export const BASE = "/beta";

export class Session {
  constructor(key, given) {
    this.key = key;
    this.role = given.role;
    this.userId = given.user_id;
    this.people = given.people;
    this.operator = given.operator;
    this.token = given.token;
  }

  static key() {
    return decodeURIComponent(location.hash.slice(1));
  }

  static async open(key = Session.key()) {
    return new Session(key, await ask(key));
  }

  // Tokens end; the key gets another one.
  async renew() {
    this.token = (await ask(this.key)).token;
  }

  // How a user is called on the page.
  shownName(name) {
    return this.people.find((person) => person.name === name)?.display_name ?? name;
  }
}

function ask(key) {
  return request("POST", "/demo/session", {body: {key}});
}
