"""The command line, `conversation-kit`: one file per command."""
