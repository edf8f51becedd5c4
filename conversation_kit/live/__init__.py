"""Live delivery: what is committed reaches those who listen, from the log and never past it."""
