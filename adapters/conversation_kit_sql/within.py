"""What the host's code does inside a transaction of the kit."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from conversation_kit.domain.scene import Changes, Decide, Scene
from conversation_kit.ports import Within

T = TypeVar("T")


class HasCompany(Exception):
    """Raised by a decision that is not to be carried out in a group: something else has to happen in its transaction."""


def unaccompanied(decide: Decide[T], within: Within[Changes[T]]) -> Decide[T]:
    """``decide``, but raises ``HasCompany`` for changes to which ``within`` has to add something.

    A decision that raises writes nothing and leaves its neighbours alone, so the change can leave its group at that point.
    """

    def decide_alone(scene: Scene) -> Changes[T]:
        changes = decide(scene)
        if within(changes) is not None:
            raise HasCompany
        return changes

    return decide_alone


def accompany(connection: Connection, within: Within[T] | None, result: T) -> None:
    """Do in the connection's transaction what ``within`` has to do beside a write with this result; raises what it raises.

    It gets a session of its own in a savepoint, so that a commit or a rollback of its own ends neither the transaction nor the write.
    """
    work = within(result) if within is not None else None
    if work is not None:
        with Session(bind=connection, join_transaction_mode="create_savepoint") as session:
            work(session)
            session.commit()
