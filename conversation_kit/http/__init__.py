"""The HTTP layer: the only place that knows Starlette and pydantic."""
