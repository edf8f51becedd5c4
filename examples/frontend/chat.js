// All conversations of one user, kept current over one WebSocket. No framework and no build step.

const MESSAGE = /^(text|image|message|custom:.*)$/;
const SILENCE = 45_000; // the server sends something every 20 seconds
const TYPING = 6_000;

export class Chat {
  #socket; #cursor; #watchdog; #retry; #delay = 500; #run = 0;
  #work = Promise.resolve(); // frames are taken one after the other
  #state = "connecting";
  #rooms = new Map();
  #opened = new Set();
  #listeners = new Set();
  #view = {state: "connecting", rooms: []};

  // `base` is the address of the kit, such as "/beta"; `token()` returns a token, or a promise of one.
  constructor(base, token) {
    this.base = base;
    this.token = token;
  }

  // Both fit React's useSyncExternalStore: a snapshot is the same object until something changes.
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  snapshot = () => this.#view;

  // Begin to listen. Returns the function that ends it.
  start = () => {
    this.#connect();
    return () => {
      this.#run += 1;
      this.#drop();
    };
  };

  // Read the last messages of a conversation, and keep them current from then on.
  async open(id) {
    this.#opened.add(id);
    const room = this.#rooms.get(id);
    if (!room) return;
    const page = await this.#ask("GET", `/conversations/${id}/events?order=desc&page_size=50`);
    const messages = new Map([...room.messages, ...page.filter(isMessage)].map((event) => [event.id, event]));
    room.messages = [...messages.values()].sort((one, other) => one.id - other.id);
    this.#changed();
  }

  send(id, text) {
    return this.#ask("POST", `/conversations/${id}/events`, {type: "text", body: {text}});
  }

  seen(id, event) {
    return this.#ask("POST", `/conversations/${id}/events`, {type: "event:seen", body: {event_id: event}});
  }

  // Not stored, so it goes over the socket, and is lost while there is none. Say it every 3 seconds while the user types.
  typing(id, isOn = true) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const type = isOn ? "text:typing:on" : "text:typing:off";
    this.#socket.send(JSON.stringify({tid: "typing", conversation_id: id, type, body: {}}));
  }

  async #connect() {
    const run = ++this.#run;
    let ticket;
    try {
      // A ticket in place of the token: it is good for one stream, once, and URLs are written into logs.
      ticket = await this.#ask("POST", "/users/me/tickets");
    } catch (error) {
      const isFinal = error.status >= 400 && error.status < 500 && error.status !== 429;
      if (run === this.#run) isFinal ? this.#become("ended") : this.#again();
      return;
    }
    if (run !== this.#run) return;
    const url = new URL(ticket.href, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.#cursor) url.searchParams.set("after", this.#cursor);
    const socket = this.#socket = new WebSocket(url);
    let isOpen = false;
    socket.onopen = () => { isOpen = true; };
    socket.onmessage = ({data}) => {
      if (run !== this.#run) return;
      this.#watch();
      this.#work = this.#work.then(() => run === this.#run && this.#take(JSON.parse(data))).catch(() => run === this.#run && this.#reset());
    };
    socket.onclose = ({code, reason}) => {
      if (run !== this.#run) return;
      // The log was put back to an earlier state, or the server does not know the cursor: read everything again.
      if (reason === "event:error:other-log" || !isOpen) this.#reset();
      else if (code === 1008 && reason !== "system:error:expired-token") this.#become("ended");
      else this.#again();
    };
  }

  async #take(frame) {
    if ("rid" in frame) return; // the answer to something that was sent over the socket
    if (this.#state !== "live") {
      if (!this.#cursor) await this.#load(); // after the stream has begun, so that nothing falls in between
      this.#delay = 500;
      this.#become("live");
    }
    if (frame.type) await this.#event(frame);
    this.#cursor = frame.cursor ?? this.#cursor;
    this.#changed();
  }

  async #event(event) {
    const {id, type, from, body, conversation_id} = event;
    const room = this.#rooms.get(conversation_id);
    if (type === "conversation:removed" && room) this.#rooms.delete(conversation_id);
    else if (!room) await this.#load(); // an invitation, or a conversation that was joined elsewhere
    else if (type === "text:typing:on") this.#typed(room, from);
    else if (!id || type === "text:typing:off") room.typing.delete(from);
    else if (isMessage(event)) {
      if (!room.messages.some((one) => one.id === id)) room.messages = [...room.messages, event];
      room.typing.delete(from);
      if (id <= room.counted) return; // the list of conversations had it already
      room.counted = Number(id);
      room.unread = from === room.memberId ? 0 : room.unread + 1;
    } else if (type === "event:delete") {
      room.messages = room.messages.filter((one) => Number(one.id) !== Number(body.event_id));
      await this.#load();
    } else if (from === room.memberId) await this.#load(); // seen in another window, left, joined: the server knows the count
  }

  #typed(room, member) {
    clearTimeout(room.typing.get(member));
    const forget = () => { room.typing.delete(member); this.#changed(); };
    room.typing.set(member, setTimeout(forget, TYPING));
  }

  async #load() {
    const rows = await this.#all("/users/me/conversations?order=desc");
    const old = this.#rooms;
    this.#rooms = new Map(rows.map((row) => [row.id, {
      id: row.id, name: row.display_name ?? row.name, memberId: row.member_id, state: row.state, unread: row.unread,
      counted: row.sequence_number, messages: old.get(row.id)?.messages ?? [], typing: old.get(row.id)?.typing ?? new Map(),
    }]));
    for (const id of this.#opened) if (!old.has(id) && this.#rooms.get(id)?.state === "joined") await this.open(id);
  }

  #reset() {
    this.#cursor = undefined;
    this.#rooms = new Map();
    this.#again();
  }

  #again() {
    this.#drop();
    const run = ++this.#run;
    this.#retry = setTimeout(() => run === this.#run && this.#connect(), this.#delay * (0.5 + Math.random()));
    this.#delay = Math.min(this.#delay * 2, 30_000);
    this.#become("reconnecting");
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#again(), SILENCE);
  }

  #drop() {
    clearTimeout(this.#watchdog);
    clearTimeout(this.#retry);
    this.#socket?.close();
    this.#socket = undefined;
  }

  #become(state) {
    this.#state = state;
    this.#changed();
  }

  #changed() {
    const rooms = [...this.#rooms.values()].map((room) => ({...room, typing: [...room.typing.keys()]}));
    this.#view = {state: this.#state, rooms};
    for (const listener of this.#listeners) listener();
  }

  async #fetch(method, url, body) {
    const headers = {Authorization: `Bearer ${await this.token()}`};
    if (body) headers["Content-Type"] = "application/json";
    const answer = await fetch(url, {method, headers, body: body && JSON.stringify(body)});
    if (answer.ok) return answer;
    const {code, description} = await answer.json();
    throw Object.assign(new Error(description), {code, status: answer.status});
  }

  async #ask(method, path, body) {
    return (await this.#fetch(method, this.base + path, body)).json();
  }

  async #all(path) {
    const rows = [];
    for (let url = this.base + path; url;) {
      const answer = await this.#fetch("GET", url);
      rows.push(...await answer.json());
      url = answer.headers.get("Link")?.match(/<([^>]+)>;\s*rel="next"/)?.[1];
    }
    return rows;
  }
}

function isMessage({type, body}) {
  return MESSAGE.test(type) && !body.timestamp?.deleted; // a deleted event keeps its id and its type
}
