"""Podman through its libpod API: ``podman_engine.PodmanEngine``.

``podman_create_body`` turns a ContainerSpec into a create request, ``podman_responses`` parses answers,
``podman_logs`` reads log files, ``conmon_exits`` watches for exits, ``rootless_limits`` and
``rootless_namespace`` know what differs for an ordinary user. Only ``rootless_namespace`` is imported from
outside the engines. Never imports ``engines.docker``, ``engines.process`` or ``engines.discovery``.
"""
