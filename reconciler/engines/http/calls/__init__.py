"""One call of an engine's HTTP API: the shape that its answer must have, and the time that it may take.

``answer_shapes`` checks answers and says what is wrong with one; ``object_answers`` has the shapes that
both engines share (Podman's and Docker's own are beside them); ``call_deadlines`` ends calls whose time is
up.

Imported by the engines behind an HTTP API. Imports no other module of ``engines.http``.
"""
