"""What Podman and Docker share: requests, responses and streams of their HTTP APIs.

``http_engine`` is the base class with the calls that are the same; ``http_api`` sends one request;
``error_mapping`` turns an engine's error into an exception of this project, by the table in
``error_patterns``; ``container_verification`` compares a created container with its specification.

Imported by ``engines.podman`` and ``engines.docker`` (``error_mapping`` by ``engines.discovery`` too). Never
imports either of them.
"""
