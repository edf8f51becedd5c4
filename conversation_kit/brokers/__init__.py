"""Brokers: wake-ups and ephemeral events between processes."""
