"""Speed of the kit, as a share of what a bare Starlette endpoint reaches on the same machine."""
