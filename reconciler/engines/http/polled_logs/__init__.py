"""Containers' output over the API, read without waiting, so that one thread reads many.

:mod:`~.log_sources` has what the engines hand out, :mod:`~.polled_body` the body of a response below it.
Blocking reads are a matter of :mod:`reconciler.engines.http.response_streams`. Nothing here imports the
modules of one engine.
"""
