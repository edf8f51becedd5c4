from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conversation_kit import Conflict, Forbidden, InvalidInput, NotFound
from conversation_kit.decisions import conversations, users
from conversation_kit.domain.commands import BlockUser, CreateConversation, CreateUser, DeleteUser, UnblockUser, UpdateUser
from conversation_kit.domain.models import Block, User
from conversation_kit.domain.principals import Actor, Principal
from conversation_kit.domain.scene import Changes, Scene, Ties
from conversation_kit.domain.signals import ConversationCreated, UserCreated, UserDeleted, UserUpdated
from conversation_kit.domain.values.moments import Moment
from tests.support.rooms import acting

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOST = Actor(Principal("app", trusted=True), True)
ANA = User("app", "USR-ana", "ana", NOON - timedelta(days=1), "Ana", channels={"app": {}}, properties={"a": 1, "b": 2})
BO = User("app", "USR-bo", "bo", NOON)
SELF = Actor(Principal("app", "ana"), False)


def moment() -> Moment:
    return Moment(NOON, lambda prefix: f"{prefix}-1")


def of(user: User | None = ANA, **ties: object) -> Scene:
    return Scene(None, ANA, user, ties=Ties(**ties))  # type: ignore[arg-type]


def test_a_user_without_a_name_gets_one() -> None:
    changes = users.create(Scene(None), CreateUser(image_url=""), HOST, moment())
    assert changes.new_users == [changes.result]
    assert changes.result == User("app", "USR-1", "NAM-1", NOON)
    assert changes.signals == [UserCreated("app", changes.result)]


def test_the_same_input_gives_the_same_user() -> None:
    now = Moment(NOON)
    assert users.create(Scene(None), CreateUser(), HOST, now) == users.create(Scene(None), CreateUser(), HOST, now)


def test_an_update_merges_objects_and_keeps_what_it_does_not_mention() -> None:
    changes = users.update(of(), UpdateUser(ANA.id, display_name=None, properties={"a": None, "c": 3}), HOST, moment())
    assert changes.result == replace(ANA, display_name=None, properties={"b": 2, "c": 3}, updated=NOON)
    assert changes.users == [changes.result]
    assert changes.signals == [UserUpdated("app", changes.result)]


def test_users_do_not_change_their_own_names() -> None:
    for kept in ("ana", ""):
        assert users.update(of(), UpdateUser(ANA.id, name=kept), SELF, moment()).result.name == "ana"
    with pytest.raises(Forbidden):
        users.update(of(), UpdateUser(ANA.id, name="eve"), SELF, moment())
    assert users.update(of(), UpdateUser(ANA.id, name="eve"), HOST, moment()).result.name == "eve"


def test_users_change_only_themselves() -> None:
    scene = Scene(None, ANA, BO, ties=Ties(blocked=ANA))
    for decision, command in (
        (users.update, UpdateUser(BO.id, display_name="Bo")),
        (users.block, BlockUser(BO.id, ANA.id)),
        (users.unblock, UnblockUser(BO.id, ANA.id)),
    ):
        decide: Callable[..., Changes[Any]] = decision
        with pytest.raises(Forbidden, match="only themselves"):
            decide(scene, command, SELF, moment())
        with pytest.raises(Forbidden, match="only themselves"):
            decide(replace(scene, caller=None), command, SELF, moment())
        decide(scene, command, acting("ana", free=True), moment())


def test_a_later_time_of_revoked_tokens_stays() -> None:
    later = replace(ANA, tokens_since=NOON + timedelta(hours=1))
    for user, since, then in ((ANA, None, NOON), (ANA, NOON - timedelta(1), NOON - timedelta(1)), (later, None, later.tokens_since)):
        assert users.revoke_tokens(of(user), UpdateUser(ANA.id), HOST, moment(), since=since).result.tokens_since == then


def test_a_user_goes_only_when_it_is_a_member_nowhere() -> None:
    with pytest.raises(users.StillMember):
        users.delete(of(is_member=True), DeleteUser(ANA.id), HOST, moment())
    changes = users.delete(of(), DeleteUser(ANA.id), HOST, moment())
    assert (changes.result, changes.removed_users, changes.signals) == (None, [ANA.id], [UserDeleted("app", ANA)])


def test_a_user_that_is_not_there_is_not_found() -> None:
    for decide in (
        lambda: users.update(of(None), UpdateUser("USR-x"), HOST, moment()),
        lambda: users.revoke_tokens(of(None), UpdateUser("USR-x"), HOST, moment(), since=None),
        lambda: users.delete(of(None), DeleteUser("USR-x"), HOST, moment()),
        lambda: users.block(of(None, blocked=BO), BlockUser("USR-x", BO.id), HOST, moment()),
        lambda: users.block(of(), BlockUser(ANA.id, "USR-x"), HOST, moment()),
    ):
        with pytest.raises(NotFound, match="USR-x"):
            decide()


def test_a_block_is_made_once_and_not_against_oneself() -> None:
    block = Block("app", ANA.id, BO.id, NOON)
    command = BlockUser(ANA.id, BO.id)
    assert users.block(of(blocked=BO), command, SELF, moment()).blocks == [block]
    assert users.block(of(blocked=BO, block=block, blocks=users.MAX_BLOCKS), command, SELF, moment()).blocks == ()
    with pytest.raises(Conflict) as told:
        users.block(of(blocked=BO, blocks=users.MAX_BLOCKS), command, SELF, moment())
    assert told.value.code == "user:error:too-many-blocks"
    with pytest.raises(InvalidInput):
        users.block(of(blocked=ANA), BlockUser(ANA.id, ANA.id), SELF, moment())


def test_a_block_that_is_not_there_is_not_removed() -> None:
    command = UnblockUser(ANA.id, BO.id)
    assert users.unblock(of(), command, SELF, moment()).result is False
    changes = users.unblock(of(block=Block("app", ANA.id, BO.id, NOON)), command, SELF, moment())
    assert (changes.result, changes.unblocked) == (True, [(ANA.id, BO.id)])


def test_a_new_conversation_knows_who_made_it_and_when_it_ends() -> None:
    command = CreateConversation("room", properties={"ttl": 60})
    changes = conversations.create(Scene(None, caller=ANA), command, SELF, moment())
    made = changes.new_conversation
    assert made is changes.result
    assert (made.id, made.name, made.created_by, made.expires_at) == ("CON-1", "room", ANA.id, NOON + timedelta(seconds=60))
    assert changes.signals == [ConversationCreated("app", made)]
    assert conversations.create(Scene(None), CreateConversation(), HOST, moment()).result.created_by is None
