"""Streams of the process engine: containers' logs as they grow, and events.

Imports the engine's state on disk and its supervisor; never the engine itself. Import from the modules.
"""
