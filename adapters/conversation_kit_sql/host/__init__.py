"""The kit inside a transaction of the host's."""
