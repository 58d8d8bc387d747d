"""Container engines behind one Protocol; the only package that talks to an engine.

What belongs here: :mod:`~reconciler.engines.protocol` (what an engine can do and what it reports),
:mod:`~reconciler.engines.specs` (what an engine is asked to create), and one folder for each engine
(``podman``, ``docker``, ``process``). ``http`` holds what Podman and Docker share over their HTTP APIs,
``host`` what is read from or done on the engine's host, ``discovery`` finds an engine and connects to it.

Import from outside: ``protocol``, ``specs``, ``discovery.selection.connect``, and modules of ``host``.
Everything else is reached through the Protocol.

Never imports ``reconciler.controller``, ``reconciler.sources``, ``reconciler.client`` or ``reconciler.cli``.
Inside, imports go ``discovery`` > ``podman | docker | process`` > ``http`` > ``host`` >
``protocol | spec_validation`` > ``specs``.
"""
