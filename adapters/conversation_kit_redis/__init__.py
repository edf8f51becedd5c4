"""conversation-kit with Redis or Valkey between its processes."""

from conversation_kit_redis.broker import RedisBroker
from conversation_kit_redis.meter import RedisMeter

__all__ = ["RedisBroker", "RedisMeter"]
