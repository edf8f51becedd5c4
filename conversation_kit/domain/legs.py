"""Steps of a leg (docs/api.md, Legs)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.models import JSONObject, Leg, LegStatus
from conversation_kit.domain.values.checks import check_text
from conversation_kit.domain.values.moments import Moment
from conversation_kit.domain.values.times import to_text

_STAGES: Mapping[LegStatus, int] = {LegStatus.STARTED: 0, LegStatus.RINGING: 1, LegStatus.ANSWERED: 2, LegStatus.MACHINE: 2}
_UNANSWERED = {LegStatus.BUSY, LegStatus.TIMEOUT, LegStatus.UNANSWERED, LegStatus.CANCELLED, LegStatus.REJECTED}
_ENDED = 3


def new_leg(
    application_id: str,
    type: str,
    moment: Moment,
    *,
    id: str | None = None,
    direction: str = "outbound",
    sender: JSONObject | None = None,
    to: JSONObject | None = None,
) -> Leg:
    """Return a leg that has just started, outside any conversation."""
    id = id or str(moment.uuid())
    return Leg(
        application_id,
        id,
        type,
        LegStatus.STARTED,
        direction,
        moment.now,
        moment.id("SES", id),
        sender=sender or {"type": type},
        to=to or {"type": type},
        history=({"status": LegStatus.STARTED.value, "date": to_text(moment.now)},),
    )


def check_leg_id(field: str, id: str) -> str:
    """Return a leg's id that can stand in a path.

    Carriers' ids may hold slashes, which ``/legs/{leg_id}`` takes. Clients and proxies cut ``.``, ``..`` and empty segments out of a
    path, so an id that has one would not be found again. Raises ``InvalidInput``.
    """
    check_text(field, id)
    if not id.isprintable() or any(segment in ("", ".", "..") for segment in id.split("/")):
        raise InvalidInput({field: "must be printable, and must not hold . or .. or nothing between slashes"})
    return id


def follows(old: LegStatus, new: LegStatus) -> bool:
    """Return whether a leg that is ``old`` becomes ``new`` when its carrier says so.

    A leg goes on from ``started`` to ``ringing`` to ``answered`` or ``machine``, between which it may change, and ends once. An answered
    leg ends as ``completed`` or ``failed``: that nobody answered is no longer true of it, and a timer that rings off late does not hang
    it up. All other reports are repeats or come late, as reports over a network do, and change no status.
    """
    if new in _UNANSWERED and _STAGES.get(old) == _STAGES[LegStatus.ANSWERED]:
        return False
    before, after = _STAGES.get(old, _ENDED), _STAGES.get(new, _ENDED)
    return after > before or ({old, new} == {LegStatus.ANSWERED, LegStatus.MACHINE})


def advance(leg: Leg, status: LegStatus, now: datetime) -> Leg:
    """Return the leg in another status; an answer starts the clock, an end stops it."""
    history = (*leg.history, {"status": status.value, "date": to_text(now)})
    leg = replace(leg, status=status, history=history)
    if status is LegStatus.ANSWERED and leg.start_time is None:
        leg = replace(leg, start_time=now)
    if not leg.is_live:
        seconds = round((now - leg.start_time).total_seconds()) if leg.start_time is not None else 0
        leg = replace(leg, end_time=now, duration=seconds if leg.duration is None else leg.duration)
    return leg


def detached(leg: Leg) -> Leg:
    """Return the leg outside its conversation. Its history keeps where it was."""
    history = tuple({"conversation_id": leg.conversation_id, "member_id": leg.member_id, **step} for step in leg.history)
    history = tuple({name: value for name, value in step.items() if value is not None} for step in history)
    return replace(leg, conversation_id=None, member_id=None, history=history)
