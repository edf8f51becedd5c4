"""Live streams: server-sent events, WebSockets, and the tickets that open them."""
