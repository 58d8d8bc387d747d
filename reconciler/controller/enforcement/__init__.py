"""The policy at the moment of use: plans are checked on each pass, host paths again when they are mounted.

``enforcer`` (:class:`~.enforcer.PolicyEnforcer`) is the way in; ``host_paths`` reads the host,
``path_pinning`` keeps a checked path from being replaced. What the policy allows is decided by
:mod:`reconciler.plan.policy` (pure). Nothing here imports the reconciler, the executor or a node service.
"""
