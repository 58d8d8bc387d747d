"""Docker through its Engine API: ``docker_engine.DockerEngine``.

``docker_create_body`` turns a ContainerSpec into a create request, ``docker_responses`` parses answers,
``docker_logs`` follows output without losing its end. Never imports ``engines.podman``, ``engines.process``
or ``engines.discovery``.
"""
