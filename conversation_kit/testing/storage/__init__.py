"""The contract of a storage."""
