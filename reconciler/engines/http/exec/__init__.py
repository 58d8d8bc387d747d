"""Commands inside running containers, over the HTTP API: a probe's output, and a person's session.

Imports the streams of :mod:`reconciler.engines.http`; never an engine.
"""
