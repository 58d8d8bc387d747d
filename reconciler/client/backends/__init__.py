"""Where upstream has its backends; there is one here."""
