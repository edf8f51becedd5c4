"""Conversations and everything that may happen to them: standard library only, synchronous, no I/O."""
