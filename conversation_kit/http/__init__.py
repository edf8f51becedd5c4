"""The door: the only place that knows Starlette and pydantic."""
