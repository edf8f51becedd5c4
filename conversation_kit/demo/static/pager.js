// The page of a list that is looked at, and the two buttons that lead to others.

import {find, say} from "./dom.js";

export class Pager {
  static SIZE = 10;
  index = 0;

  constructor(name, onTurn) {
    this.count = find(`#${name}-count`);
    this.newer = find(`#${name}-newer`);
    this.older = find(`#${name}-older`);
    const turn = (step) => () => {
      this.index = Math.max(0, this.index + step);
      onTurn();
    };
    this.newer.addEventListener("click", turn(-Pager.SIZE));
    this.older.addEventListener("click", turn(Pager.SIZE));
  }

  show(total) {
    say(this.count, String(total));
    this.newer.disabled = this.index === 0;
    this.older.disabled = this.index + Pager.SIZE >= total;
  }
}
