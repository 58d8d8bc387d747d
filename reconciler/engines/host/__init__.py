"""Facts and helpers of the host an engine runs on: subnets, devices, files, OOM kills, image references.

Each module stands alone and may be imported by every engine, the controller and ``doctor``. Nothing here
speaks to an engine's API: never imports ``engines.http``, ``podman``, ``docker``, ``process`` or
``discovery``.
"""
