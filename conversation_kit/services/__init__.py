"""Services of the kit, one file per noun; the same for HTTP and for the host's own code."""
