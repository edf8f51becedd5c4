"""Applications that are alike: the same ids and names in each, what may be done in one, and all that can be read of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.errors import Rejected, RequestError
from conversation_kit.domain.models import (
    Block,
    Conversation,
    Exclusion,
    ExclusionKind,
    Leg,
    LegStatus,
    Member,
    MemberState,
    Receipt,
    ReceiptKind,
    User,
)
from conversation_kit.domain.reading import Access, EventRange, Page
from conversation_kit.domain.scene import Changes, Needs, Scene
from conversation_kit.ports import Storage
from conversation_kit.testing.harness.writes import add_block, create_conversation, create_user, delete_user, remove_block, update_user

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW = NOON + timedelta(days=1)
NAMES = ("ana", "bo", "cy")
ROOMS = (0, 1)
Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Doing:
    """One write. The numbers say on which of a few rooms, users, members, events and legs; ``at`` is when, in seconds."""

    kind: str
    room: int = 0
    user: int = 0
    choice: int = 0
    at: int = 100

    async def on(self, storage: Storage, application_id: str) -> object:
        """Do it and return what came of it: a scene as it was seen, a result, or an error's code."""
        return await told(lambda: DOINGS[self.kind](self, storage, application_id))

    @property
    def time(self) -> datetime:
        """Time at which it is done."""
        return NOON + timedelta(seconds=self.at)

    @property
    def room_id(self) -> str:
        """The conversation."""
        return f"CON-{self.room}"

    @property
    def user_id(self) -> str:
        """The user acted upon."""
        return f"USR-{self.user}"

    @property
    def member_id(self) -> str:
        """Id of that user's member in the conversation."""
        return f"MEM-{self.room}-{self.user}"

    @property
    def event_id(self) -> int:
        """An event of the conversation."""
        return self.choice + 1


async def told(call: Callable[[], Awaitable[object]]) -> object:
    """Return the result of a call, or the code of its error."""
    try:
        return await call()
    except RequestError as error:
        return f"refused: {error.code}"


async def _change(doing: Doing, storage: Storage, application_id: str, work: Callable[[Draft], None], *, in_room: bool = True) -> object:
    needs = Needs(
        caller=NAMES[doing.user],
        user_id=doing.user_id,
        members=(doing.member_id,),
        events=(doing.event_id,),
        legs=(f"LEG-{doing.choice}",),
        knocking_id=f"KNO-{doing.choice}",
        live_legs=True,
        exclusion=True,
        invitations=True,
    )

    def decide(scene: Scene) -> Changes[object]:
        draft = Draft(scene, NOW)
        work(draft)
        return draft.done(seen(scene))

    return (await storage.change(application_id, doing.room_id if in_room else None, needs, decide)).result


def seen(scene: Scene) -> object:
    """Return a scene in a form that does not depend on the order of things that have none."""
    members, legs = [sorted(things, key=lambda thing: thing.id) for things in (scene.members, scene.legs)]
    events = {id: (event, event.messages) for id, event in sorted(scene.events.items())}
    return scene.conversation, scene.caller, scene.user, members, events, legs, scene.exclusion, scene.invitations


async def _create_user(doing: Doing, storage: Storage, application_id: str) -> object:
    await create_user(storage, User(application_id, f"USR-at-{doing.at}", NAMES[doing.choice % 3], doing.time))
    return None


async def _update_user(doing: Doing, storage: Storage, application_id: str) -> object:
    def update(old: User) -> User:
        return replace(old, name=f"{NAMES[doing.choice % 3]}{'!' * (doing.at % 2)}", display_name=f"at {doing.at}", updated=doing.time)

    return await update_user(storage, application_id, doing.user_id, update)


async def _delete_user(doing: Doing, storage: Storage, application_id: str) -> object:
    return await delete_user(storage, application_id, doing.user_id)


async def _create_conversation(doing: Doing, storage: Storage, application_id: str) -> object:
    await create_conversation(storage, Conversation(application_id, f"CON-at-{doing.at}", f"room {doing.choice}", doing.time))
    return None


async def _say(doing: Doing, storage: Storage, application_id: str) -> object:
    def work(draft: Draft) -> None:
        for number in range(doing.choice + 1):
            draft.append("text", {"text": f"{application_id} at {doing.at}: {number}"}, sender=doing.member_id, is_message=True)

    return await _change(doing, storage, application_id, work)


async def _rename(doing: Doing, storage: Storage, application_id: str) -> object:
    return await _change(doing, storage, application_id, lambda draft: draft.update(name=f"room {doing.choice}", updated=doing.time))


async def _member(doing: Doing, storage: Storage, application_id: str) -> object:
    state = tuple(MemberState)[doing.choice]

    def work(draft: Draft) -> None:
        user = draft.scene.user
        if user is None:
            raise Rejected("test:error:no-user", "There is no such user.")
        old = draft.scene.member(doing.member_id)
        channel = {"type": "app", "at": doing.at}
        created = old.created if old is not None else doing.time
        draft.save_member(Member(application_id, doing.room_id, doing.member_id, user.id, user.name, state, channel, created))

    return await _change(doing, storage, application_id, work)


def _with_event(doing: Doing, work: Callable[[Draft], None]) -> Callable[[Draft], None]:
    def checked(draft: Draft) -> None:
        if doing.event_id not in draft.scene.events:
            raise Rejected("test:error:no-event", "There is no such event.")
        work(draft)

    return checked


async def _receive(doing: Doing, storage: Storage, application_id: str) -> object:
    receipt = Receipt(doing.room_id, doing.event_id, doing.member_id, tuple(ReceiptKind)[doing.at % 2], doing.time, doing.at)
    return await _change(doing, storage, application_id, _with_event(doing, lambda draft: draft.receipt(receipt)))


async def _see(doing: Doing, storage: Storage, application_id: str) -> object:
    def work(draft: Draft) -> None:
        member = draft.member(doing.member_id)
        if member is None:
            raise Rejected("test:error:no-member", "There is no such member.")
        draft.see(member, draft.scene.events[doing.event_id])

    return await _change(doing, storage, application_id, _with_event(doing, work))


async def _rewrite(doing: Doing, storage: Storage, application_id: str) -> object:
    def work(draft: Draft) -> None:
        draft.rewrite(draft.compose(doing.event_id, "text", {"gone": doing.at}))

    return await _change(doing, storage, application_id, _with_event(doing, work))


async def _leg(doing: Doing, storage: Storage, application_id: str) -> object:
    status = LegStatus.COMPLETED if doing.at % 3 == 0 else LegStatus.RINGING
    knocking = f"KNO-{doing.choice}" if doing.user == 0 else None
    leg = Leg(application_id, f"LEG-{doing.choice}", "app", status, "inbound", NOON, f"at {doing.at}", doing.room_id, knocking_id=knocking)
    return await _change(doing, storage, application_id, lambda draft: draft.save_leg(leg))


async def _remove_leg(doing: Doing, storage: Storage, application_id: str) -> object:
    changes: Changes[object] = Changes(None, removed_legs=[f"LEG-{doing.choice}"])
    return (await storage.change(application_id, None, Needs(), lambda scene: changes)).result


async def _exclude(doing: Doing, storage: Storage, application_id: str) -> object:
    kind = tuple(ExclusionKind)[doing.choice % 2]
    exclusion = Exclusion(application_id, doing.room_id, doing.user_id, kind, doing.time, reason=f"{application_id} at {doing.at}")
    return await _change(doing, storage, application_id, lambda draft: draft.exclude(exclusion))


async def _lift(doing: Doing, storage: Storage, application_id: str) -> object:
    return await _change(doing, storage, application_id, lambda draft: draft.lift(doing.user_id))


async def _block(doing: Doing, storage: Storage, application_id: str) -> object:
    return await add_block(storage, Block(application_id, doing.user_id, f"USR-{doing.choice}", doing.time), 2)


async def _unblock(doing: Doing, storage: Storage, application_id: str) -> object:
    return await remove_block(storage, application_id, doing.user_id, f"USR-{doing.choice}")


async def _destroy(doing: Doing, storage: Storage, application_id: str) -> object:
    return await _change(doing, storage, application_id, Draft.destroy)


DOINGS: Mapping[str, Callable[[Doing, Storage, str], Awaitable[object]]] = {
    "create_user": _create_user,
    "update_user": _update_user,
    "delete_user": _delete_user,
    "create_conversation": _create_conversation,
    "say": _say,
    "rename": _rename,
    "member": _member,
    "receive": _receive,
    "see": _see,
    "rewrite": _rewrite,
    "leg": _leg,
    "remove_leg": _remove_leg,
    "exclude": _exclude,
    "lift": _lift,
    "block": _block,
    "unblock": _unblock,
    "destroy": _destroy,
}


async def populate(storage: Storage, application_id: str) -> None:
    """Store users, rooms, members, events, receipts and legs that other applications have too: only texts tell the applications apart."""
    for number, name in enumerate(NAMES):
        await create_user(
            storage, User(application_id, f"USR-{number}", name, NOON + timedelta(seconds=number), display_name=application_id)
        )
    for room in ROOMS:
        created = NOON + timedelta(seconds=room)
        await create_conversation(storage, Conversation(application_id, f"CON-{room}", f"room {room}", created, created_by="USR-2"))
        for doing in (
            Doing("member", room, user=0, choice=1, at=room),
            Doing("say", room, user=0, choice=1, at=room),
            Doing("receive", room, user=0, at=room),
            Doing("leg", room, choice=room, at=room + 1),
            Doing("exclude", room, user=1, choice=room, at=room),
            Doing("block", user=room, choice=2, at=room),
        ):
            await doing.on(storage, application_id)


async def everything(storage: Storage, application_id: str) -> Facts:
    """Return the answers of every read of the port about an application, by the question."""
    a, ask = application_id, Asked()
    await ask("list_conversations", lambda: storage.list_conversations(a, Page(), NOW))
    await ask("expired_conversations", lambda: storage.expired_conversations(a, NOW, 10))
    await ask("sequence_numbers", lambda: storage.sequence_numbers(a, [f"CON-{room}" for room in ROOMS], NOW))
    await ask("list_users", lambda: storage.list_users(a, Page()))
    await ask("list_legs", lambda: storage.list_legs(a, Page()))
    await ask("get_leg", lambda: storage.get_leg(a, "LEG-0"))
    for number, name in enumerate(NAMES):
        await ask(f"get_user by name {name}", lambda: storage.get_user(a, name=name))  # noqa: B023 - it is called at once
        await ask(f"get_user by id {number}", lambda: storage.get_user(a, id=f"USR-{number}"))  # noqa: B023
        await ask(
            f"expired_conversations of {number}",
            lambda: storage.expired_conversations(a, NOW, 10, user_id=f"USR-{number}"),  # noqa: B023
        )
        await ask(f"list_blocks {number}", lambda: storage.list_blocks(a, f"USR-{number}", Page()))  # noqa: B023
        await ask(f"newest_memberships {number}", lambda: storage.newest_memberships(a, f"USR-{number}", 9, NOW))  # noqa: B023
        await ask(f"list_memberships {number}", lambda: storage.list_memberships(a, f"USR-{number}", Page(), NOW))  # noqa: B023
    for room in ROOMS:
        await ask(f"expired room {room}", lambda: storage.expired_conversations(a, NOW, 10, name=f"room {room}"))  # noqa: B023
        for reader in (None, "ana"):
            access, c = Access(a, NOW, reader), f"CON-{room}"
            of = f"of room {room} by {reader}"
            await ask(f"get_conversation {of}", lambda: storage.get_conversation(access, c, 10))  # noqa: B023
            await ask(f"list_members {of}", lambda: storage.list_members(access, c, Page()))  # noqa: B023
            await ask(f"list_exclusions {of}", lambda: storage.list_exclusions(access, c, Page()))  # noqa: B023
            await ask(f"get_member {of}", lambda: storage.get_member(access, c, f"MEM-{room}-0"))  # noqa: B023
            await ask(f"list_events {of}", lambda: _events(storage, access, c))  # noqa: B023
            await ask(f"get_event {of}", lambda: storage.get_event(access, c, 1))  # noqa: B023
        await ask(f"the scene of room {room}", lambda: _change(Doing("look", room), storage, a, lambda draft: None))  # noqa: B023
    return ask.answers


class Asked:
    """Questions and their answers."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}

    async def __call__(self, question: str, call: Callable[[], Awaitable[Any]]) -> None:
        """Ask, and note the answer."""
        self.answers[question] = await told(call)


async def _events(storage: Storage, access: Access, conversation_id: str) -> object:
    return (await storage.list_events(access, conversation_id, EventRange())).events()
