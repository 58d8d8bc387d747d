"""Policy: what the policy in force refuses of a plan. Pure, and without knowledge of how plans are built.

:mod:`.violations` checks a plan as a whole with the rules of :mod:`.container_rules` and :mod:`.host_mounts`;
:mod:`.image_users` checks the users that images run as, once the images are known;
:mod:`.field_locations` finds the manifest field behind a violation. What looks at the host and enforces the
result at the moment of use is :mod:`reconciler.controller.enforcement`. Of :mod:`reconciler.plan` only
``job_plan`` and ``pod.volume_paths`` may be imported here.
"""
