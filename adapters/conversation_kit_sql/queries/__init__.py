"""Reads: statements, rows, and pages of events and of lists."""
