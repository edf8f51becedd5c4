"""The storage for tests and small demos: everything in this process."""

from conversation_kit.memory.storage import MemoryStorage

__all__ = ["MemoryStorage"]
