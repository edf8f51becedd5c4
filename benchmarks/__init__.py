"""How fast the kit is, as a share of what a bare Starlette endpoint reaches on the same machine."""
