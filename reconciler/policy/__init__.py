"""What manifests may ask for: the ``policy:`` of ``reconciler.yaml``.

:mod:`.model` is the value, :mod:`.reading` makes it of the file. What a plan does against it is said by
:mod:`reconciler.plan.policing`, which is pure; paths are looked at by :mod:`reconciler.controller.grounds`.
"""
