"""conversation-kit with Redis or Valkey between its processes."""

from conversation_kit_redis.broker import RedisBroker

__all__ = ["RedisBroker"]
