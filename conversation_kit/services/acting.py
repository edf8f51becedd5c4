"""The five services of one principal."""

from __future__ import annotations

from dataclasses import dataclass

from conversation_kit.domain.principals import Principal
from conversation_kit.services.conversations import Conversations
from conversation_kit.services.core import Core
from conversation_kit.services.events import Events
from conversation_kit.services.legs import Legs
from conversation_kit.services.members import Members
from conversation_kit.services.users import Users


@dataclass(slots=True)
class Acting:
    """Everything the API can do, done as one principal."""

    core: Core
    principal: Principal

    @property
    def conversations(self) -> Conversations:
        """Conversations."""
        return Conversations(self.core, self.principal)

    @property
    def users(self) -> Users:
        """Users."""
        return Users(self.core, self.principal)

    @property
    def members(self) -> Members:
        """Members."""
        return Members(self.core, self.principal)

    @property
    def events(self) -> Events:
        """Events."""
        return Events(self.core, self.principal)

    @property
    def legs(self) -> Legs:
        """Legs."""
        return Legs(self.core, self.principal)
