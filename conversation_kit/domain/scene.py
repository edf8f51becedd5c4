"""Input and output of one decision: the state that it sees, and the changes that it makes.

Every change of a conversation or a user is one call of ``Storage.change``: the storage loads the ``Scene`` that the
``Needs`` describe, lets a pure function decide on it, and commits the ``Changes``, all of it atomically. So
rules live here and in the services alone, and a transition cannot race: whoever decides has the conversation
to itself.

Nobody changes a ``Needs``, ``Scene`` or ``Changes`` either; they are not frozen because that takes three times as long to make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, TypeAlias, TypeVar

from conversation_kit.domain.events import Event
from conversation_kit.domain.models import (
    ACTIVE,
    Block,
    Conversation,
    Exclusion,
    Leg,
    Member,
    MemberState,
    Pointer,
    Receipt,
    User,
)
from conversation_kit.domain.signals import Signal
from conversation_kit.domain.values.answers import Answer

T = TypeVar("T")


@dataclass(slots=True)
class Needs:
    """Rows that a decision needs beside the conversation itself; absent ones are simply not in the scene.

    ``caller`` is the name of the acting user; ``user_id``, ``user_name`` or ``user_of``, the id of a member of the conversation, name the
    user acted upon; both bring their invited and joined memberships of the conversation with them. ``members`` and ``legs`` are looked up
    by id, ``events`` by id with their senders and with the receipts on them of the members in the scene. ``conversation_of`` is the id of a
    leg, which it brings, for a change that names no conversation itself: the scene is that of the conversation in which the leg is.
    ``behind`` brings the invited and joined members whose read pointer lies before the event of this id,
    ``knocking_id`` the leg of that knocker, ``live_legs`` every leg of the conversation that has not ended, ``exclusion`` what keeps
    the user acted upon out of the conversation, ``invitations`` what lies between the caller and that user in the whole application.
    ``changes_user`` says that the decision may change or remove the user acted upon, who is locked for nobody else to change meanwhile.
    ``memberships`` tells whether that user is invited or joined anywhere, ``blocked_id`` what lies between it and the user of this id.
    These do not depend on the conversation.
    ``issued_at`` is the core's: when the caller's credentials were made.
    """

    caller: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    user_of: str | None = None
    members: tuple[str, ...] = ()
    events: tuple[int, ...] = ()
    behind: int | None = None
    legs: tuple[str, ...] = ()
    conversation_of: str | None = None
    knocking_id: str | None = None
    live_legs: bool = False
    exclusion: bool = False
    invitations: bool = False
    changes_user: bool = False
    memberships: bool = False
    blocked_id: str | None = None
    issued_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Invitations:
    """Counts of ``invited`` memberships: made by the caller (``sent``), and of the user acted upon (``received``), in all conversations.

    ``is_blocked`` says that the user wants none from the caller. Counts of transactions that are under way elsewhere may be missing.
    """

    sent: int = 0
    received: int = 0
    is_blocked: bool = False


NO_INVITATIONS: Final = Invitations()


@dataclass(frozen=True, slots=True)
class Ties:
    """Ties of the user acted upon in the whole application, as far as ``Needs`` asks for them.

    ``is_member`` tells whether it is invited or joined in some conversation. ``blocked`` is the user that it may block, ``block`` says that
    it does already, and ``blocks`` how many users it blocks.
    """

    is_member: bool = False
    blocked: User | None = None
    block: Block | None = None
    blocks: int = 0


NO_TIES: Final = Ties()


@dataclass(slots=True)
class Scene:
    """The state on which a decision is taken. ``conversation`` is ``None`` for what has none (a user, a knocker's leg), or not yet."""

    conversation: Conversation | None
    caller: User | None = None
    user: User | None = None
    members: Sequence[Member] = ()
    events: Mapping[int, Event] = field(default_factory=dict)
    legs: Sequence[Leg] = ()
    exclusion: Exclusion | None = None
    invitations: Invitations = NO_INVITATIONS
    ties: Ties = NO_TIES

    def member(self, member_id: str) -> Member | None:
        """Return the member with this id, if it is in the scene."""
        for member in self.members:
            if member.id == member_id:
                return member
        return None

    def members_of(self, user: User | None, *states: MemberState) -> list[Member]:
        """Return the memberships of ``user`` in one of ``states`` (default: invited or joined), oldest first."""
        wanted = states or tuple(ACTIVE)
        return [member for member in self.members if user is not None and member.user_id == user.id and member.state in wanted]

    def leg(self, leg_id: str) -> Leg | None:
        """Return the leg with this id, if it is in the scene."""
        return next((leg for leg in self.legs if leg.id == leg_id), None)


@dataclass(slots=True)
class Changes(Generic[T]):
    """Result of a decision: the rows that the storage has to commit, and the answer.

    ``conversation`` is its new version, ``None`` when it stays as it is; ``destroyed`` says that it goes, with members, events and
    receipts. ``new_conversation`` is inserted where the scene has none. ``members`` are inserted or replaced by id. ``pointers`` replace
    ``seen`` and ``seen_messages`` of members that are there and not among ``members``. ``events`` are appended: their ids follow the old
    ``sequence_number`` without a hole, and their ``messages`` are kept for scenes. ``rewritten`` events replace the data at their ids and
    nothing else. ``deleted`` are the ids of messages that count no more: in scenes the ``messages`` of the events before them are one
    higher from then on. ``receipts`` are added; of one event, member and kind the first one stays. ``exclusions`` are inserted or replaced
    by user, those of the users in ``lifted`` are removed. None of these count without a conversation; all that follow do.

    ``legs`` are inserted or replaced by id. ``new_users`` are inserted. ``users`` replace those that ``Needs.changes_user`` has locked;
    their names, display names and image URLs also show in all their memberships. ``removed_users`` go with their exclusions and blocks,
    and members that left stay. ``blocks`` are inserted where the scene has none, ``unblocked`` are pairs of a user and one that it blocks
    no more. ``answers`` are kept until they expire; one whose mark is there already refuses all of the changes with ``key_in_use``.
    ``signals`` and ``result`` are the core's and no business of the storage.
    """

    result: T
    conversation: Conversation | None = None
    destroyed: bool = False
    members: Sequence[Member] = ()
    pointers: Sequence[Pointer] = ()
    events: Sequence[Event] = ()
    rewritten: Sequence[Event] = ()
    deleted: Sequence[int] = ()
    receipts: Sequence[Receipt] = ()
    exclusions: Sequence[Exclusion] = ()
    lifted: Sequence[str] = ()
    legs: Sequence[Leg] = ()
    removed_legs: Sequence[str] = ()
    new_conversation: Conversation | None = None
    new_users: Sequence[User] = ()
    users: Sequence[User] = ()
    removed_users: Sequence[str] = ()
    blocks: Sequence[Block] = ()
    unblocked: Sequence[tuple[str, str]] = ()
    answers: Sequence[Answer] = ()
    signals: Sequence[Signal] = ()


Decide: TypeAlias = Callable[[Scene], Changes[T]]
"""Pure: the same scene gives the same changes. A storage may call it again after a conflict."""
