"""The scheduler: which jobs may start on what the host has. Pure, but for the lock of :mod:`.capacity`.

Public: :class:`.capacity.HostCapacity` (what jobs hold, and who waits) with :mod:`.admission_queue` (the
order of those that wait), :mod:`.preemption` (who makes room), :mod:`.job_priority` and :mod:`.resources`
(what a job requests). Imports plans and records; never an engine, the executor or the state machine.
"""
