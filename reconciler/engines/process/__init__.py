"""The process engine: containers as process groups of this machine, without images.

What belongs here: :mod:`process_engine` (the engine: import :class:`ProcessEngine` from it), what it creates
from a container's specification (:mod:`container_creator`, :mod:`launch_spec`, :mod:`volume_layout`,
:mod:`spec_rewriter`, :mod:`limitations`), what it does with containers (:mod:`lifecycle`,
:mod:`process_status`, :mod:`streams`), its state on disk (:mod:`state_folder`,
:mod:`process_volumes`, :mod:`networks`) and :mod:`supervisor`, which runs beside each container.

Never imports: other engines, :mod:`reconciler.controller`.
"""
