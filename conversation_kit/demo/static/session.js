// Who looks at this page: the key behind the # of its address is exchanged for a token.
// A browser sends what is behind the # to nobody, so neither the key nor the token is in a log.

import {request} from "./http.js";

export const BASE = "/beta";

class Misfit extends Error {
  code = "demo:error:other-page";
  isPassing = false;
  message = "This key is for another page: open an address that the demo has printed.";
}

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
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch {
      return ""; // a key that was cut off in the middle of a character
    }
  }

  // The session of the page's key, if its role is one that the page is for.
  static async open(isFor) {
    const key = Session.key();
    const given = await ask(key);
    if (!isFor(given.role)) throw new Misfit();
    return new Session(key, given);
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
