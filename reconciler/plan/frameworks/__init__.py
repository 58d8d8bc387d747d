"""Frameworks: one plugin each, chosen by the runtime's ``mlPolicy``, as upstream's plugins are.

Here belongs what a framework adds to a job: counts of nodes, environment, ports, volumes, files, generated
secrets. :mod:`.registry` is the list of all frameworks; a new one is a function ``apply`` in a module of its
own and a line there (its Secret: in :mod:`.required_secrets`). Public: ``registry.select_framework``,
``required_secrets.required_secrets``, and the names of keys and files in :mod:`.mpi` and :mod:`.flux`. Of
:mod:`reconciler.plan` only ``draft``, ``expansion``, ``job_plan`` and ``pod.pod_resources`` may be imported.
"""
