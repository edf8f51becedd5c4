import {useEffect, useState, useSyncExternalStore} from "react";

import {Chat} from "./chat.js";

export function useChat(base, token) {
  const [chat] = useState(() => new Chat(base, token));
  useEffect(() => chat.start(), [chat]);
  return [chat, useSyncExternalStore(chat.subscribe, chat.snapshot)];
}

export function Rooms({base, token}) {
  const [chat, {state, rooms}] = useChat(base, token);
  const [selected, select] = useState();
  const room = rooms.find(({id}) => id === selected);
  const last = room?.messages.at(-1)?.id;

  useEffect(() => { if (selected) chat.open(selected); }, [chat, selected]);
  useEffect(() => { if (room?.unread && last) chat.seen(room.id, Number(last)); }, [chat, room?.id, room?.unread, last]);

  return (
    <main>
      <p role="status">{state}</p>
      <ul>
        {rooms.map(({id, name, unread}) => (
          <li key={id}><button onClick={() => select(id)}>{name} {unread > 0 && <b>{unread}</b>}</button></li>
        ))}
      </ul>
      {room && (
        <section>
          <ol>{room.messages.map(({id, body}) => <li key={id}>{body.text}</li>)}</ol>
          <p>{room.typing.length > 0 && "Somebody is typing…"}</p>
          <Composer onType={() => chat.typing(room.id)} onSend={(text) => chat.send(room.id, text)} />
        </section>
      )}
    </main>
  );
}

function Composer({onType, onSend}) {
  const [text, write] = useState("");
  const submit = (event) => {
    event.preventDefault();
    onSend(text).then(() => write(""));
  };
  return (
    <form onSubmit={submit}>
      <input value={text} onChange={({target}) => { write(target.value); onType(); }} />
    </form>
  );
}
