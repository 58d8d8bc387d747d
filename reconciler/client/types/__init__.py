"""Types of the client; ``reconciler.client.types.types`` has all of them, as upstream."""
