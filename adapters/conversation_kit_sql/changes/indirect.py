"""Changes that name their conversation by a leg in it, or their user by a member."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

from conversation_kit.domain.scene import Changes, Decide, Needs, Scene
from conversation_kit_sql.queries.rows import member_of
from conversation_kit_sql.queries.statements import Statements

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
Change = Callable[[str | None, Needs, Decide[T]], Awaitable[Changes[T]]]


class Glance(Protocol):
    """Way to read in one statement."""

    def __call__(self, query: Callable[Concatenate[Connection, Statements, P], R], *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        """Return the result of ``query``."""
        ...


class Moved(Exception):
    """Refusal by a decision whose leg is not in the conversation any more that was locked for it."""


async def resolved(
    glance: Glance, change: Change[T], application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[T]
) -> Changes[T]:
    """Look up what is named indirectly, and change it by ``change``, which takes no such names.

    A member's user never changes, so it may be looked up before. A leg may move until its conversation is locked, and is looked for again.
    """
    if needs.user_of is not None and conversation_id is not None:
        user_id = await glance(_user_of, application_id, conversation_id, needs.user_of)
        needs = replace(needs, user_id=user_id, user_of=None)
    leg_id = needs.conversation_of
    if leg_id is None:
        return await change(conversation_id, needs, decide)
    needs = replace(needs, legs=(*needs.legs, leg_id), conversation_of=None)
    while True:
        there = await glance(_conversation_of, application_id, leg_id)
        try:
            return await change(there, needs, _if_there(decide, leg_id, there))
        except Moved:
            continue


def _if_there(decide: Decide[T], leg_id: str, conversation_id: str | None) -> Decide[T]:
    """Return ``decide``, but so that it raises ``Moved`` for a leg that is elsewhere."""

    def decide_there(scene: Scene) -> Changes[T]:
        leg = scene.leg(leg_id)
        if (leg.conversation_id if leg is not None else None) != conversation_id:
            raise Moved
        return decide(scene)

    return decide_there


def _user_of(connection: Connection, statements: Statements, application_id: str, conversation_id: str, member_id: str) -> str | None:
    rows = statements.member.found(connection, application_id, conversation_id, member_id)
    return member_of(tuple(rows[0])).user_id if rows else None


def _conversation_of(connection: Connection, statements: Statements, application_id: str, leg_id: str) -> str | None:
    row = connection.execute(statements.leg, {"a": application_id, "id": leg_id}).first()
    return None if row is None or row.conversation_id is None else str(row.conversation_id)
