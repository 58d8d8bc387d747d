"""Finds the engine to use: ``selection.connect`` is the entrance.

``engine_addresses`` lists where an engine may answer, ``ping`` asks who does, ``selection`` chooses. The
engines' modules are imported late, because their clients take 100 ms. Never imported by an engine.
"""
