"""Pods: from a step's pod template, as decoded data, to :class:`~reconciler.plan.job_plan.PodPlan`.

One module per subject: names and labels (:mod:`.pod_template`), containers, environment, the downward API,
probes, resources, security contexts, volumes and their paths, and warnings about fields that are supported in
part. Public: ``plan_pod``, ``host_names``, ``add_claimed_volumes``, ``add_rendezvous``,
``add_completion_index`` and ``warn_pod`` for the builder; :mod:`.volume_paths` and :mod:`.pod_resources` for
all. Of :mod:`reconciler.plan` neither ``builder`` nor ``frameworks`` nor ``policy`` may be imported.
"""
