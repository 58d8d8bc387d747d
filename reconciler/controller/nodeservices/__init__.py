"""Node services: what runs beside the passes over jobs, in threads of its own, as a kubelet's workers do.

``image_puller`` (with ``registry_credentials``), ``probe_runner``, ``logs`` and ``progress``. A pass asks
them for a state and never waits for them; they request a pass through a callback when something has changed.
The engine session owns one ``ImagePuller``, ``ProbeRunner`` and ``LogCollector`` per engine, the manager the
one ``ProgressService``. Of the controller only :mod:`~reconciler.controller.statemachine.observation` (data
types) may be imported here: never the reconciler, the executor, the scheduler or the status.
"""
