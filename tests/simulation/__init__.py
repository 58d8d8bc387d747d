"""The daemon's controller against a simulated engine, disk and user, on a clock of its own."""
