"""Serving an API: requests, responses, routing, errors, and the place in a host."""
