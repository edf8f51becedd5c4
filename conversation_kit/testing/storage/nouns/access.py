"""Access to a conversation: every read of one asks ``check_access``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from conversation_kit.domain.errors import Forbidden, Unauthenticated
from conversation_kit.domain.models import Conversation, Member, User
from conversation_kit.domain.reading import Access, EventRange, Page
from conversation_kit.domain.rules import CREATION_LEEWAY
from conversation_kit.domain.values.ids import new_id
from conversation_kit.testing.harness.harness import INVITED, JOINED, LEFT, OTHER, Bench, Contract, no_conversation, refused
from conversation_kit.testing.harness.writes import delete_user, update_user

Reader = Callable[[Bench, Access, str, str], Awaitable[object]]
READERS: Mapping[str, Reader] = {
    "get_conversation": lambda bench, access, room, member: bench.storage.get_conversation(access, room, 10),
    "list_members": lambda bench, access, room, member: bench.storage.list_members(access, room, Page()),
    "get_member": lambda bench, access, room, member: bench.storage.get_member(access, room, member),
    "list_events": lambda bench, access, room, member: bench.storage.list_events(access, room, EventRange()),
    "get_event": lambda bench, access, room, member: bench.storage.get_event(access, room, 1),
}
ONLY_JOINED: Mapping[str, Any] = {"states": frozenset({JOINED})}
each_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)


def too_early() -> AbstractContextManager[None]:
    """Expect the block to say that one has to join first."""
    return refused(Forbidden, "event:error:not-joined")


@dataclass
class Room:
    """A conversation with one member that has left, and one event."""

    bench: Bench
    reader: Reader
    conversation: Conversation
    member: Member

    async def read(self, user: User | None, application_id: str | None = None, **values: Any) -> None:
        """Read as ``user`` or as an admin."""
        application_id = application_id or self.conversation.application_id
        await self.reader(self.bench, self.bench.access(user, application_id, **values), self.conversation.id, self.member.id)


async def make_room(bench: Bench, reader: Reader, **values: Any) -> Room:
    """Make a room whose creator is no member unless ``values`` say so."""
    conversation = await bench.conversation("room", **values)
    member = await bench.member(conversation, await bench.user("past"), LEFT)
    await bench.say(conversation.id, "hello")
    return Room(bench, reader, conversation, member)


class AccessContract(Contract):
    """Each read raises what ``check_access`` raises, before it says anything else."""

    @each_reader
    async def test_an_admin_reads_every_conversation_of_the_application(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            await (await make_room(bench, reader)).read(None)

    @each_reader
    async def test_a_joined_member_reads(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await make_room(bench, reader), await bench.user()
            await bench.member(room.conversation, user, LEFT)
            await bench.member(room.conversation, user, JOINED)
            for values in ({}, ONLY_JOINED, {"creator": False}):
                await room.read(user, **values)

    @each_reader
    async def test_an_invited_member_reads_only_what_is_for_invited_ones(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await make_room(bench, reader), await bench.user()
            await bench.member(room.conversation, user, INVITED)
            await room.read(user)
            with too_early():
                await room.read(user, **ONLY_JOINED)

    @each_reader
    async def test_credentials_from_before_the_user_or_a_revocation_read_nothing(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await make_room(bench, reader), await bench.user()
            await bench.member(room.conversation, user)
            await room.read(user, issued_at=user.created - CREATION_LEEWAY)
            with refused(Unauthenticated, "system:error:invalid-token"):
                await room.read(user, issued_at=user.created - CREATION_LEEWAY - timedelta(milliseconds=1))
            since = user.created + timedelta(hours=1)
            await room.read(user, issued_at=since - timedelta(milliseconds=1))
            await update_user(bench.storage, user.application_id, user.id, lambda old: replace(old, tokens_since=since))
            await room.read(user, issued_at=since)
            await room.read(user)
            for unrestricted in (False, True):
                with refused(Unauthenticated, "system:error:invalid-token"):
                    await room.read(user, issued_at=since - timedelta(milliseconds=1), unrestricted=unrestricted)

    @each_reader
    async def test_whom_nothing_restricts_has_to_exist_and_no_more(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await make_room(bench, reader), await bench.user()
            await room.read(user, unrestricted=True)
            with refused(Unauthenticated, "system:error:invalid-token"):
                await room.read(replace(user, name="nobody"), unrestricted=True)

    @each_reader
    async def test_one_of_several_memberships_in_the_right_state_is_enough(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await make_room(bench, reader), await bench.user()
            await bench.member(room.conversation, user, INVITED)
            await bench.member(room.conversation, user, JOINED, channel={"type": "phone"})
            await room.read(user, **ONLY_JOINED)

    @each_reader
    async def test_a_member_that_left_reads_no_more(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await make_room(bench, reader), await bench.user()
            member = await bench.member(room.conversation, user)
            await bench.save_member(replace(member, state=LEFT, left=bench.tick()))
            with no_conversation():
                await room.read(user)

    @each_reader
    async def test_a_stranger_does_not_learn_that_the_conversation_exists(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await make_room(bench, reader), await bench.user()
            await bench.member(await bench.conversation(), user)
            for values in ({}, ONLY_JOINED, {"creator": False}):
                with no_conversation():
                    await room.read(user, **values)

    @each_reader
    async def test_the_creator_reads_where_creators_may(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user()
            room = await make_room(bench, reader, created_by=user.id)
            await room.read(user)
            await room.read(user, **ONLY_JOINED)
            for values in ({}, ONLY_JOINED):
                with too_early():
                    await room.read(user, creator=False, **values)

    @each_reader
    async def test_an_unknown_caller_is_told_so_first_of_all(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await make_room(bench, reader), await bench.user("eve", OTHER)
            for name in (user.name, "nobody", ""):
                with refused(Unauthenticated, "system:error:invalid-token"):
                    await room.read(None, user_name=name)
                with refused(Unauthenticated, "system:error:invalid-token"):
                    await reader(bench, bench.access(user_name=name), new_id("CON"), new_id("MEM"))

    @each_reader
    async def test_a_missing_conversation_is_not_found(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await make_room(bench, reader), await bench.user()
            for caller in (None, user):
                with no_conversation():
                    await reader(bench, bench.access(caller), new_id("CON"), room.member.id)
            await bench.destroy(room.conversation)
            with no_conversation():
                await room.read(None)

    @each_reader
    async def test_an_expired_conversation_exists_for_nobody(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user()
            room = await make_room(bench, reader, created_by=user.id)
            await bench.member(room.conversation, user, INVITED)
            expires_at, early = bench.clock() + timedelta(minutes=1), timedelta(milliseconds=-1)
            await bench.edit(room.conversation.id, lambda draft: draft.update(expires_at=expires_at))
            for caller in (None, user):
                await room.read(caller, now=expires_at + early)
                with no_conversation():
                    await room.read(caller, now=expires_at)

    @each_reader
    async def test_nothing_is_read_through_another_application(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user("ana")
            room = await make_room(bench, reader, created_by=user.id)
            await bench.member(room.conversation, user)
            namesake = await bench.user("ana", OTHER)
            for caller in (None, namesake):
                with no_conversation():
                    await room.read(caller, OTHER)

    @each_reader
    async def test_a_namesake_of_a_former_user_is_a_stranger(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            user = await bench.user("ana")
            room = await make_room(bench, reader, created_by=user.id)
            member = await bench.member(room.conversation, user)
            await bench.save_member(replace(member, state=LEFT, left=bench.tick()))
            assert await delete_user(bench.storage, user.application_id, user.id)
            namesake = await bench.user("ana")
            with no_conversation():
                await room.read(namesake)

    @each_reader
    async def test_a_renamed_user_reads_under_its_new_name(self, tmp_path: Path, reader: Reader) -> None:
        async with self.bench(tmp_path) as bench:
            user, room = await bench.user("ana"), await make_room(bench, reader)
            await bench.member(room.conversation, user)
            renamed = await update_user(bench.storage, user.application_id, user.id, lambda old: replace(old, name="eve"))
            await room.read(renamed)
            with refused(Unauthenticated, "system:error:invalid-token"):
                await room.read(user)

    async def test_who_has_no_access_is_not_told_which_members_and_events_there_are(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room, user = await bench.conversation(), await bench.user()
            with no_conversation():
                await bench.storage.get_member(bench.access(user), room.id, new_id("MEM"))
            with no_conversation():
                await bench.storage.get_event(bench.access(user), room.id, 1)
