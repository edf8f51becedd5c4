"""Conversations with their people while decisions are taken on them, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from conversation_kit.domain.drafts import at_pointer
from conversation_kit.domain.models import Conversation, Exclusion, Member, MemberState, User
from conversation_kit.domain.scene import Changes, Needs, Scene

MemberKey: TypeAlias = tuple[str, str]
"""The ids of a conversation and of a member in it."""

_NOBODY: Mapping[str, Member] = {}


@dataclass(slots=True)
class IdentityMap:
    """The state of one application's conversations as the decisions of a batch leave it."""

    conversations: dict[str, Conversation] = field(default_factory=dict)
    callers: dict[str, User] = field(default_factory=dict)
    """Callers by their names; nobody keeps others from changing or deleting them."""
    users: dict[str, User] = field(default_factory=dict)
    """Users acted upon, by their ids. They are locked, so that each stays what it is until the transaction ends."""
    user_names: dict[str, User] = field(default_factory=dict)
    """The same by their names."""
    members: dict[MemberKey, Member] = field(default_factory=dict)
    memberships: dict[tuple[str, str], dict[str, Member]] = field(default_factory=dict)
    """The members of a conversation and a user, by their ids."""
    exclusions: dict[tuple[str, str], Exclusion | None] = field(default_factory=dict)
    """Exclusions that are known to keep a user out of a conversation."""
    asked: set[tuple[str, str]] = field(default_factory=set)
    """The names and conversations of the callers that were looked up, whether or not there are such users."""

    def add_user(self, user: User) -> None:
        """Let a user who is locked be found by id and by name."""
        self.users[user.id] = user
        self.user_names[user.name] = user

    def add_member(self, member: Member) -> None:
        """Let a member be found, or replace it."""
        self.members[member.conversation_id, member.id] = member
        self.memberships.setdefault((member.conversation_id, member.user_id), {})[member.id] = member

    def user(self, needs: Needs) -> User | None:
        """Return the user acted upon."""
        if needs.user_id is not None:
            return self.users.get(needs.user_id)
        return self.user_names.get(needs.user_name) if needs.user_name is not None else None

    def scene(self, conversation_id: str | None, needs: Needs) -> Scene:
        """Return the scene that the next decision on a conversation sees, without events and legs."""
        caller = self.callers.get(needs.caller) if needs.caller is not None else None
        user = self.user(needs)
        conversation = self.conversations.get(conversation_id) if conversation_id is not None else None
        if conversation is None:
            return Scene(None, caller, user)
        found = {id: member for id in needs.members if (member := self.members.get((conversation.id, id))) is not None}
        for person in (caller, user):
            if person is not None:
                for member in self.memberships.get((conversation.id, person.id), _NOBODY).values():
                    if member.state is not MemberState.LEFT:
                        found[member.id] = member
        exclusion = self.exclusions.get((conversation.id, user.id)) if needs.exclusion and user is not None else None
        members = list(found.values()) if len(found) < 2 else sorted(found.values(), key=lambda member: (member.created, member.id))
        return Scene(conversation, caller, user, members, exclusion=exclusion)

    def apply_users(self, changes: Changes[Any]) -> None:
        """Apply the changes of users, for the next decision on one of them to see."""
        for id in (*(user.id for user in changes.users), *changes.removed_users):
            if id in self.users:
                name = self.users.pop(id).name
                del self.user_names[name]
                self.callers.pop(name, None)
        for user in changes.users:
            self.add_user(user)
            self.callers[user.name] = user

    def apply(self, conversation_id: str, changes: Changes[Any]) -> None:
        """Apply the changes, for the next decision on this conversation to see."""
        if changes.destroyed:
            del self.conversations[conversation_id]
            return  # nobody looks at members without their conversation, and there will be no other one with its id
        if changes.conversation is not None:
            self.conversations[conversation_id] = changes.conversation
        for member in changes.members:
            self.add_member(member)
        for pointer in changes.pointers:
            key = conversation_id, pointer.member_id
            if key in self.members:
                moved = self.members[key] = at_pointer(self.members[key], pointer.seen, pointer.seen_messages)
                self.memberships[conversation_id, moved.user_id][moved.id] = moved
        for exclusion in changes.exclusions:
            self.exclusions[conversation_id, exclusion.user_id] = exclusion
        for user_id in changes.lifted:
            self.exclusions[conversation_id, user_id] = None
