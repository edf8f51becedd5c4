"""The Conversation API, as mounted at ``/beta``: one file per noun, and the shapes of bodies and responses."""
