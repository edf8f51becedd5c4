"""The contract of a storage, a file for each guarantee."""
