"""`python -m conversation_kit` is the command `conversation-kit`."""

from __future__ import annotations

from conversation_kit.cli.main import main

if __name__ == "__main__":
    main()
