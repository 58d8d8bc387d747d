"""Types of the client. ``reconciler.client.types.types`` exports all of them, as upstream's module does."""
