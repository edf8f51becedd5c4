// Live events over a WebSocket that comes back by itself and goes on after what it had: those of one conversation, or of all of a user's.

import {Retry} from "./retry.js";

// The server shows that it lives every 20 seconds.
const SILENCE = 45_000;

export class Stream {
  #socket;
  #watchdog;
  #retry = new Retry(() => this.#open());
  #closed = false;
  #after;

  // `ticket()` asks for one; `after` is where to begin, without it with what comes next. Events may come again that were there already.
  // onEvent(event); onState("live" | "reconnecting" | "ended", problem).
  constructor(ticket, after, {onEvent, onState}) {
    this.ticket = ticket;
    this.begin = this.#after = after;
    this.onEvent = onEvent;
    this.onState = onState;
    this.#open();
  }

  close() {
    this.#closed = true;
    this.#retry.stop();
    this.#drop();
  }

  async #open() {
    let ticket;
    try {
      // A ticket in place of the token, for a URL is written into logs; it opens one stream, once.
      ticket = await this.ticket();
    } catch (error) {
      if (this.#closed) return;
      if (error.isPassing) this.#comeAgain();
      else this.#end(error);
      return;
    }
    if (this.#closed) return;
    const url = new URL(ticket.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.#after !== undefined) url.searchParams.set("after", this.#after);
    const socket = this.#socket = new WebSocket(url);
    let isOpen = false;
    socket.onopen = () => {
      isOpen = true;
      this.#retry.succeeded();
      this.#watch();
      this.onState("live");
    };
    socket.onmessage = ({data}) => socket === this.#socket && this.#take(JSON.parse(data));
    socket.onclose = ({code, reason}) => {
      if (socket !== this.#socket) return;
      // A browser does not tell why it was refused. It may be for the place to go on from, which another version of the server does not know.
      if (!isOpen) this.#after = this.begin;
      // 1008: access has ended. All other reasons are about this connection only.
      // Nothing that the page has is good any more.
      if (reason === "event:error:other-log") location.reload();
      else if (code === 1008 && reason !== "system:error:expired-token") this.#end({code: reason, message: "You have no access any more."});
      else this.#comeAgain();
    };
  }

  #take(frame) {
    this.#watch();
    if ("rid" in frame) return; // why the socket is about to close, which its close says too
    this.#after = frame.cursor ?? frame.id ?? this.#after;
    if (frame.type !== undefined) this.onEvent(frame); // others are heartbeats, or only say where the stream is
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#comeAgain(), SILENCE);
  }

  #comeAgain() {
    this.#drop();
    this.onState("reconnecting");
    this.#retry.later();
  }

  #end(problem) {
    this.close();
    this.onState("ended", problem);
  }

  #drop() {
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}
