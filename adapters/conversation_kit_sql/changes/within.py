"""Work of the host's code inside a transaction of the kit."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from conversation_kit.domain.errors import HookFailed
from conversation_kit.domain.scene import Changes, Decide, Scene
from conversation_kit.ports import Within
from conversation_kit_sql.database.errors import is_broken, is_conflict, refused

T = TypeVar("T")


class HasCompany(Exception):
    """Refusal by a decision that is not to be carried out in a group: something else has to happen in its transaction."""


def unaccompanied(decide: Decide[T], within: Within) -> Decide[T]:
    """Return ``decide``, but so that it raises ``HasCompany`` for changes to which ``within`` has to add something.

    A decision that raises writes nothing and leaves its neighbours alone, so the change can leave its group at that point.
    """

    def decide_alone(scene: Scene) -> Changes[T]:
        changes = decide(scene)
        if within(changes) is not None:
            raise HasCompany
        return changes

    return decide_alone


def accompany(connection: Connection, within: Within | None, changes: Changes[Any]) -> None:
    """Do in the connection's transaction what ``within`` has to do beside a write of these changes; raises what it raises.

    It gets a session of its own in a savepoint, so that a commit or a rollback of its own ends neither the transaction nor the write.
    When the database has ended the transaction, its own error is raised, whatever was made of it: it may be worth another try.
    """
    work = within(changes) if within is not None else None
    if work is not None:
        with Session(bind=connection, join_transaction_mode="create_savepoint") as session:
            try:
                work(session)
                session.commit()
            except HookFailed as failed:
                raise _ended_by(failed) or failed from failed.__cause__
            except DBAPIError as error:
                # A hook has gone on after an error that the transaction does not survive.
                raise _ended_by(error) or refused(error) from error


def _ended_by(error: BaseException) -> BaseException | None:
    """Return the database's error that ended the transaction, if there is one behind ``error``."""
    seen: BaseException | None = error
    while seen is not None and not (is_conflict(seen) or is_broken(seen)):
        seen = seen.__cause__ or seen.__context__
    return seen
