"""From TrainJob and runtime to a plan: network, steps, pods, containers. Pure: no I/O, and no engine's types.

:mod:`.builder` builds a :class:`~.job_plan.JobPlan` with :mod:`.frameworks` and :mod:`.pod`; :mod:`.resolver`
and :mod:`.addresses` fill in what is known only when it runs; :mod:`.plan_hash`, :mod:`.plan_json` and
:mod:`.serialization` are its other forms; :mod:`.policy` checks it.

Public: ``builder.build``, the types in :mod:`.job_plan`, the modules above, :mod:`.expansion`,
:mod:`.progress_reporting`, and what the three sub-packages name. ``job_plan`` imports no model of
:mod:`reconciler.api`, so that a plan's types alone cost nothing.
"""
