"""Writes: changes are applied in groups, each decided on a locked conversation."""
