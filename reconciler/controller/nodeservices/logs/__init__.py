"""Log collection: copies what containers print into kept log files before the containers are removed.

:class:`~.log_collector.LogCollector` is the only public name; it has one :class:`~.log_copy.LogCopy` per
container, all moved by the one thread of :class:`~.log_loop.LogLoop`, and a copy writes through
:class:`~.log_files.LogFile`. Rotation, compression and the file format are matters of ``log_files``; where a
file lies is a matter of :mod:`reconciler.state.kept_logs`.
Nothing here imports the reconciler, the executor or an engine's implementation.
"""
