"""Container engines behind one Protocol; the only place that talks to an engine."""
