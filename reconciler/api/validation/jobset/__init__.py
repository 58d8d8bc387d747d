"""Rules that a cluster applies to a runtime's template when a job starts: JobSet's and the API server's.

Upstream's own admission lets such a runtime through and its jobs then never start; here they are faults of
the runtime, before anything runs. Imported by the rules of runtimes and jobs; never imports those.
"""
