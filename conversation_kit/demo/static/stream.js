// The live events of one conversation over a WebSocket that comes back by itself and goes on after the last id it had.

import {Retry} from "./retry.js";

// The server shows that it lives every 20 seconds.
const SILENCE = 45_000;

export class Stream {
  #socket;
  #watchdog;
  #retry = new Retry(() => this.#open());
  #closed = false;

  // onEvent(event); onState("connecting" | "live" | "reconnecting" | "ended", problem).
  constructor(api, id, after, {onEvent, onState}) {
    this.api = api;
    this.id = id;
    this.after = after;
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
      ticket = await this.api.ticket(this.id);
    } catch (error) {
      if (this.#closed) return;
      if (error.isPassing) this.#comeAgain();
      else this.#end(error);
      return;
    }
    if (this.#closed) return;
    const url = new URL(`${ticket.href}&after=${this.after}`);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = this.#socket = new WebSocket(url);
    socket.onopen = () => {
      this.#retry.succeeded();
      this.#watch();
      this.onState("live");
    };
    socket.onmessage = ({data}) => socket === this.#socket && this.#take(JSON.parse(data));
    socket.onclose = ({code, reason}) => {
      if (socket !== this.#socket) return;
      // 1008: access has ended. All other reasons are about this connection only.
      if (code === 1008 && reason !== "system:error:expired-token") this.#end({code: reason, message: "You have no access any more."});
      else this.#comeAgain();
    };
  }

  #take(frame) {
    this.#watch();
    if ("rid" in frame) return; // why the socket is about to close, which its close says too
    if (frame.type === undefined) return; // a heartbeat
    if (frame.id !== undefined) {
      const id = Number(frame.id);
      if (id <= this.after) return;
      if (id !== this.after + 1) return this.#comeAgain(); // ids have no holes: something was lost, and is asked for again
      this.after = id;
    }
    this.onEvent(frame);
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
