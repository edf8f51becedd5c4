// The events of all conversations of a user as server-sent events, for hosts whose login is a cookie.

export function listen(base, {onEvent, onReset, onEnd}) {
  // The browser sends the cookie. When the connection is cut it comes again by itself, with the id that came last.
  const source = new EventSource(`${base}/users/me/events`);
  source.onmessage = ({data}) => onEvent(JSON.parse(data));
  source.addEventListener("end", ({data}) => {
    source.close();
    const {code} = JSON.parse(data);
    if (code === "event:error:other-log") onReset(); // forget what is there, read the lists again, and listen anew
    else onEnd(code);
  });
  return () => source.close();
}
