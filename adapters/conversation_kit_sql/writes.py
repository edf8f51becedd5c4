"""Single writes, as plain functions over a connection that is in a transaction; groups of changes are in ``batch``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Insert, select
from sqlalchemy.exc import IntegrityError

from conversation_kit.domain.errors import duplicate_name
from conversation_kit.domain.models import Conversation, MemberState, User
from conversation_kit.domain.scene import Changes, Decide, Needs
from conversation_kit_sql import queries
from conversation_kit_sql.batch import ChangeUnit, carry_out
from conversation_kit_sql.lanes import Ticket
from conversation_kit_sql.rows import to_row, to_update
from conversation_kit_sql.statements import Statements

T = TypeVar("T")


def change(
    connection: Connection, statements: Statements, application_id: str, conversation_id: str | None, needs: Needs, decide: Decide[T]
) -> Changes[T]:
    """See ``Storage.change``; this one alone."""
    unit = ChangeUnit(application_id, conversation_id, needs, decide)
    ((_, changes, error),) = carry_out(connection, statements, [Ticket(unit)])
    if error is not None:
        raise error
    decided: Changes[T] = changes
    return decided


def create_conversation(connection: Connection, statements: Statements, conversation: Conversation) -> None:
    """See ``Storage.create_conversation``."""
    _insert(connection, statements.insert_conversation, conversation, "conversation")


def create_user(connection: Connection, statements: Statements, user: User) -> None:
    """See ``Storage.create_user``."""
    _insert(connection, statements.insert_user, user, "user")


def _insert(connection: Connection, statement: Insert, model: Conversation | User, noun: str) -> None:
    try:
        connection.execute(statement, to_row(model))
    except IntegrityError as error:
        raise duplicate_name(noun, model.name) from error


def update_user(connection: Connection, statements: Statements, application_id: str, user_id: str, update: Callable[[User], User]) -> User:
    """See ``Storage.update_user``."""
    old = queries.hold_user(connection, statements, application_id, user_id)
    user = update(old)
    try:
        connection.execute(statements.update_user, to_update(user, "id"))
    except IntegrityError as error:
        raise duplicate_name("user", user.name) from error
    if user.name != old.name:
        parameters = {"a": application_id, "user": user_id, "name": user.name}
        connection.execute(statements.rename_memberships, parameters)
    return user


def delete_user(connection: Connection, statements: Statements, application_id: str, user_id: str) -> bool:
    """See ``Storage.delete_user``."""
    member = statements.tables.member
    queries.hold_user(connection, statements, application_id, user_id)
    active = select(member.c.id).where(
        member.c.application_id == application_id, member.c.user_id == user_id, member.c.state != MemberState.LEFT
    )
    if connection.execute(active.limit(1)).first() is not None:
        return False
    connection.execute(statements.delete_user, {"a": application_id, "id": user_id})
    return True
