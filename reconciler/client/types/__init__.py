"""Types of the client, at upstream's import path ``reconciler.client.types.types``."""
