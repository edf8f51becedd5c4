"""Serving an API: requests, responses, routing, errors, the OpenAPI document, and the place in a host."""
