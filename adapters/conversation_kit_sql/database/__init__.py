"""The database itself: engines, drivers, connections, their errors, and statements that are compiled once."""
