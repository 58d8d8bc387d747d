"""Probes and lifecycle hooks of containers."""

from __future__ import annotations

from reconciler.api.models.base import Int32, Int64, IntOrString, Model


class ExecAction(Model):
    """A command run inside the container."""

    command: tuple[str, ...] = ()


class HTTPHeader(Model):
    """A header of an HTTP request to the container."""

    name: str
    value: str


class HTTPGetAction(Model):
    """An HTTP request to the container."""

    port: IntOrString
    host: str | None = None
    http_headers: tuple[HTTPHeader, ...] = ()
    path: str | None = None
    scheme: str | None = None


class SleepAction(Model):
    """A pause of whole seconds."""

    seconds: Int64


class TCPSocketAction(Model):
    """A connection attempt."""

    port: IntOrString
    host: str | None = None


class LifecycleHandler(Model):
    """One action of a lifecycle hook."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    sleep: SleepAction | None = None
    tcp_socket: TCPSocketAction | None = None


class Lifecycle(Model):
    """Actions after a container's start and before its stop."""

    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str | None = None


class GRPCAction(Model):
    """A gRPC health check."""

    port: Int32
    service: str = ""


class Probe(Model):
    """A check of a container, repeated: one action and its timing in seconds."""

    exec: ExecAction | None = None
    failure_threshold: Int32 | None = None
    grpc: GRPCAction | None = None
    http_get: HTTPGetAction | None = None
    initial_delay_seconds: Int32 | None = None
    period_seconds: Int32 | None = None
    success_threshold: Int32 | None = None
    tcp_socket: TCPSocketAction | None = None
    termination_grace_period_seconds: Int64 | None = None
    timeout_seconds: Int32 | None = None
