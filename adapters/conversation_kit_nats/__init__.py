"""conversation-kit with NATS between its processes."""

from conversation_kit_nats.broker import NatsBroker

__all__ = ["NatsBroker"]
