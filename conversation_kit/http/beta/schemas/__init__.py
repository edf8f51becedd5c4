"""The shapes of bodies and responses, and the ids in the examples of the OpenAPI document."""
