"""Conversations with their people while decisions are taken on them, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from conversation_kit.domain.models import Conversation, Member, User, at_pointer
from conversation_kit.domain.scene import Changes, Needs, Scene

MemberKey: TypeAlias = tuple[str, str]
"""The ids of a conversation and of a member in it."""

_NOBODY: Mapping[str, Member] = {}


@dataclass(slots=True)
class Working:
    """The state of one application's conversations as the decisions of a batch leave it."""

    conversations: dict[str, Conversation] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    user_names: dict[str, User] = field(default_factory=dict)
    members: dict[MemberKey, Member] = field(default_factory=dict)
    memberships: dict[tuple[str, str], dict[str, Member]] = field(default_factory=dict)
    """The members of a conversation and a user, by their ids."""
    asked: set[tuple[str, str]] = field(default_factory=set)
    """The names and conversations of the callers that were looked up, whether or not there are such users."""

    def __len__(self) -> int:
        return len(self.conversations) + len(self.members) + len(self.asked)

    def add_user(self, user: User) -> None:
        """Let a user be found by id and by name."""
        self.users[user.id] = user
        self.user_names[user.name] = user

    def add_member(self, member: Member) -> None:
        """Let a member be found, or replace it."""
        self.members[member.conversation_id, member.id] = member
        self.memberships.setdefault((member.conversation_id, member.user_id), {})[member.id] = member

    def user(self, needs: Needs) -> User | None:
        """The user acted upon."""
        if needs.user_id is not None:
            return self.users.get(needs.user_id)
        return self.user_names.get(needs.user_name) if needs.user_name is not None else None

    def scene(self, conversation_id: str | None, needs: Needs) -> Scene:
        """What the next decision on a conversation sees, without events and legs."""
        caller = self.user_names.get(needs.caller) if needs.caller is not None else None
        user = self.user(needs)
        conversation = self.conversations.get(conversation_id) if conversation_id is not None else None
        if conversation is None:
            return Scene(None, caller, user)
        found = {id: member for id in needs.members if (member := self.members.get((conversation.id, id))) is not None}
        for person in (caller, user):
            if person is not None:
                for member in self.memberships.get((conversation.id, person.id), _NOBODY).values():
                    if member.is_active:
                        found[member.id] = member
        if len(found) > 1:
            return Scene(conversation, caller, user, sorted(found.values(), key=lambda member: (member.created, member.id)))
        return Scene(conversation, caller, user, list(found.values()))

    def apply(self, conversation_id: str, changes: Changes[Any]) -> None:
        """What the next decision on this conversation sees."""
        if changes.destroyed:
            del self.conversations[conversation_id]
            return  # nobody looks at members without their conversation, and there will be no other one with its id
        if changes.conversation is not None:
            self.conversations[conversation_id] = changes.conversation
        for member in changes.members:
            self.add_member(member)
        for pointer in changes.pointers:
            moved = self.members.get((conversation_id, pointer.member_id))
            if moved is not None:
                self.add_member(at_pointer(moved, pointer.seen, pointer.seen_messages))
