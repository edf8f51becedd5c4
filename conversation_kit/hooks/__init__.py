"""The host's functions around a command: before it, in its transaction, and after its commit."""
