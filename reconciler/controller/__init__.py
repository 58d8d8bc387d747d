"""The controller: brings the jobs of one specs folder to their desired state on one engine.

Public: :func:`.manager.serve` (the daemon) and :func:`.dry_run.dry_run` (``diff``). One pass over a job goes
from ``informer`` (what happened -> keys) through ``workqueue`` and ``controller`` (workers, retries) to
``reconciler`` (read, decide, save, act, report); the sub-packages have a role each. ``clock``,
``plan_cache``, ``relist``, ``shutdown`` and ``thread_pool`` serve these; ``engine_session`` is the engine
with all that belongs to it.

Knows engines by their Protocol only. Never imports the client or the command line.
"""
