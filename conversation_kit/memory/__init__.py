"""The storage for tests and small demos, in this process, and which storage a URL names."""

from conversation_kit.memory.storage import MemoryStorage

__all__ = ["MemoryStorage"]
