"""Decisions: what each command does to the state that it finds. Pure functions of the scene, the command, the actor and the moment."""
