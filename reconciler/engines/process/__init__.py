"""Parts of the process engine (:mod:`reconciler.engines.process.process_engine` is its face).

``supervising``, ``isolating``, ``identities``, ``records`` and ``announcing`` also run inside the
supervisor, an interpreter started without site-packages for every container: they import the cheap part
of the standard library only (no typing, no pathlib, no dataclasses).
"""
