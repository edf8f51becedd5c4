// Calls as the log tells them: who called whose phones, and what has become of each leg.

const LIVE = new Set(["started", "ringing", "answered", "machine"]);

export class Call {
  constructor(event, steps) {
    this.id = Number(event.id);
    this.caller = event.from;
    this.timestamp = event.timestamp;
    // What is in an event of the type may come from anybody who is joined.
    const legs = Array.isArray(event.body?.legs) ? event.body.legs : [];
    this.legs = legs.filter((leg) => leg?.leg_id && leg.member_id).map(({leg_id: id, member_id: member}) => new Leg(id, member, steps.get(id)));
  }

  get isLive() {
    return this.legs.some((leg) => leg.isLive);
  }

  legOf(isMember) {
    return this.legs.find((leg) => leg.isLive && isMember(leg.member));
  }
}

class Leg {
  constructor(id, member, told) {
    this.id = id;
    this.member = member;
    // A leg has been started before its call is told of, so one without a status is on an earlier page, and long over.
    this.status = told?.status ?? "unknown";
    const at = (status) => Date.parse(told?.statusHistory?.find((step) => step.status === status)?.date);
    this.answeredAt = at("answered") || undefined;
    this.endedAt = this.isLive ? undefined : Date.parse(told?.statusHistory?.at(-1)?.date) || undefined;
  }

  get isLive() {
    return LIVE.has(this.status);
  }

  // Seconds of talking.
  get seconds() {
    return this.answeredAt && this.endedAt ? Math.max(0, Math.round((this.endedAt - this.answeredAt) / 1000)) : 0;
  }
}

// All calls of a log, by the id of the event that tells of them.
export function callsOf(log) {
  const steps = new Map();
  const calls = new Map();
  for (const {type, body} of log) if (type === "leg:status:update") steps.set(body.leg_id, body);
  for (const event of log) if (event.type === "custom:call") calls.set(Number(event.id), new Call(event, steps));
  return calls;
}
