"""TODO: what belongs here."""
