"""What a conversation is and what may happen to it: standard library only, synchronous, no I/O."""
