"""Meters: in one process, what is kept of one that several share, and which one a URL names."""
