// Times for people, in the language of their browser.

const CLOCK = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit"});
const DAY = new Intl.DateTimeFormat(undefined, {weekday: "long", day: "numeric", month: "long"});
const SHORT_DAY = new Intl.DateTimeFormat(undefined, {day: "numeric", month: "short"});
const PRECISE = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit", second: "2-digit"});
const EXACT = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "medium"});

export function clock(timestamp) {
  return CLOCK.format(new Date(timestamp));
}

export function exact(timestamp) {
  return timestamp ? EXACT.format(new Date(timestamp)) : "";
}

export function precise(timestamp) {
  return isToday(new Date(timestamp)) ? PRECISE.format(new Date(timestamp)) : exact(timestamp);
}

export function day(timestamp) {
  const date = new Date(timestamp);
  return isToday(date) ? "Today" : DAY.format(date);
}

export function brief(timestamp) {
  const date = new Date(timestamp);
  return isToday(date) ? CLOCK.format(date) : SHORT_DAY.format(date);
}

export function duration(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function isToday(date) {
  return date.toDateString() === new Date().toDateString();
}
