"""Databases that the kit knows, each with an object that answers what differs between them. Nobody else asks which one it is."""
