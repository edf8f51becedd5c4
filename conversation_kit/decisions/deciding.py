"""The shape of all decisions, and how a storage gets to take one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias, TypeVar

from conversation_kit.decisions import results
from conversation_kit.domain.commands import Command
from conversation_kit.domain.principals import Actor
from conversation_kit.domain.rules import require_caller
from conversation_kit.domain.scene import Changes, Decide, Needs, Scene
from conversation_kit.domain.values.answers import Answer, Claim
from conversation_kit.domain.values.moments import Moment

C = TypeVar("C", bound=Command)
T = TypeVar("T")

Decision: TypeAlias = Callable[[Scene, C, Actor, Moment], Changes[T]]
"""Pure: the same scene, command, actor and moment give the same changes."""


def decide(needs: Needs, decision: Decision[C, T], command: C, actor: Actor, moment: Moment, scene: Scene) -> Changes[T]:
    """Take a decision, once it is certain who asks for it. All but the scene is bound before a storage is called.

    Raises ``Unauthenticated`` when ``needs.caller`` is nobody, before the decision may tell what else there is.
    """
    if needs.caller is not None:
        require_caller(scene.caller, needs.caller, needs.issued_at)
    return decision(scene, command, actor, moment)


def decide_once(claim: Claim, now: datetime, decided: Decide[T], scene: Scene) -> Changes[T]:
    """Take a decision, and let its answer be kept with its changes for the repeats of the request. All but the scene is bound before."""
    changes = decided(scene)
    changes.answers = [Answer(claim.mark, claim.digest, results.encode(changes.result), now, claim.expires_at)]
    return changes
