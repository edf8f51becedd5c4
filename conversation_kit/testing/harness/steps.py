"""A change with something of every kind in it, so that half of one can be told from a whole one."""

from __future__ import annotations

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.models import Leg, LegStatus, Member, MemberState, Receipt, ReceiptKind
from conversation_kit.domain.reading import EventRange, Page
from conversation_kit.testing.harness.harness import APP, Bench

EVENTS = 2
"""Number of events that a step appends."""


def take_step(draft: Draft) -> int:
    """Append two events, a receipt, a member and a leg, and name the conversation after the step; returns the step's number."""
    room = draft.conversation
    number = room.joined_members + 1
    member = Member(APP, room.id, f"MEM-{number}", f"USR-{number}", "somebody", MemberState.JOINED, {"type": "app"}, draft.now)
    draft.save_member(member)
    event = draft.append("text", {"step": number}, sender=member.id)
    draft.append("text", {"step": number})
    draft.receipt(Receipt(room.id, event.id or 0, member.id, ReceiptKind.SEEN, draft.now, number))
    draft.save_leg(Leg(APP, f"LEG-{room.id}-{number}", "app", LegStatus.STARTED, "inbound", draft.now, "SES-1", room.id, member.id))
    draft.update(name=f"{room.id} at step {number}")
    return number


async def step(bench: Bench, room_id: str) -> int:
    """Take one step and return its number."""
    return (await bench.edit(room_id, take_step)).result


async def steps_taken(bench: Bench, room_id: str) -> int:
    """Return the number of steps that a room shows, each of them whole.

    The room's legs must be the only ones of the application.
    """
    storage, access = bench.storage, bench.access()
    room, members = await storage.get_conversation(access, room_id, 10_000)
    number = room.joined_members
    page = await storage.list_events(access, room_id, EventRange(size=10_000))
    assert list(page.ids) == list(range(1, EVENTS * number + 1)), f"{number} joined members mean {number} steps of {EVENTS} events each"
    steps = [at for at in range(1, number + 1) for _ in range(EVENTS)]
    assert [event.body["step"] for event in page.events()] == steps, "all events of a step are there"
    shown = {
        "sequence_number": room.sequence_number // EVENTS,
        "name": int(room.name.rpartition(" ")[2]) if number else 0,
        "members": len(members),
        "receipts": sum(map(len, page.receipts.values())),
        "legs": sum(leg.conversation_id == room_id for leg in (await storage.list_legs(APP, Page(size=10_000))).items),
    }
    assert shown == dict.fromkeys(shown, number), f"each step is there wholly or not at all; the members counted are {number}"
    return number
