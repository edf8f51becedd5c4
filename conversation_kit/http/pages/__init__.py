"""Pages and probes that stand beside an API, for everybody."""
