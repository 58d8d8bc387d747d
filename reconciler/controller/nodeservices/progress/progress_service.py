"""The progress service of one daemon: keys, listeners, the handler, and the thread that maintains them.

Nothing here keeps a job from running: where the service cannot work (a full disk, a port that is taken, an
engine elsewhere) the job's events say so once, and it runs without reporting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from reconciler.common.os_errors import describe_fault
from reconciler.common.path_presence import is_folder
from reconciler.config.settings import Settings
from reconciler.controller.nodeservices.progress.bridge_discovery import RECHECK_DELAY, BridgeDiscovery
from reconciler.controller.nodeservices.progress.progress_endpoints import (
    ProgressEndpoints,
    format_host_port,
    is_host_address,
    unreachable_reason,
)
from reconciler.controller.nodeservices.progress.progress_listeners import ProgressListeners, preferred_port
from reconciler.controller.nodeservices.progress.progress_reports import ProgressReports
from reconciler.controller.nodeservices.progress.progress_tokens import ProgressTokens, load_or_create_key
from reconciler.controller.nodeservices.progress.rootless_listeners import RootlessListeners
from reconciler.controller.nodeservices.progress.token_renewal import renew_tokens
from reconciler.engines.protocol import EngineInfo, NetworkState
from reconciler.errors import ReconcilerError
from reconciler.plan.job_plan import JobPlan, PodPlan
from reconciler.plan.progress_reporting import (
    CA_FILE,
    TOKEN_FILE,
    ca_config_map_name,
    is_reporting,
    token_secret_name,
)
from reconciler.server.asgi.http_server import Server
from reconciler.server.certificate_authority import CertificateAuthority
from reconciler.state.record import Record

LOOPBACK: Final = "127.0.0.1"
#: Seconds between two rounds of maintenance: token renewal, unused listeners.
MAINTENANCE_INTERVAL: Final = 20.0
CONSEQUENCE: Final = "Containers that start now get no KUBEFLOW_TRAINER_SERVER_URL."

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Components:
    authority: CertificateAuthority
    tokens: ProgressTokens
    listeners: ProgressListeners
    rootless: RootlessListeners


class ProgressService:
    """Serves progress reports; its files are created when the first job reports.

    Args:
        settings: say where keys and files are kept.
        reports: takes the reports.
        uid_of: returns the current uid of the job ``namespace/name``; None where there is no such job.
        unfinished: returns the keys of the jobs that may still report.
        server: the daemon's HTTP server; its owner closes it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        reports: ProgressReports,
        uid_of: Callable[[str], str | None],
        unfinished: Callable[[], set[str]],
        server: Server,
    ) -> None:
        state = settings.state_dir.absolute()
        self._folder = state / "progress" / settings.instance
        self._files = state / "files" / settings.instance
        self._instance = settings.instance
        self._reports = reports
        self._uid_of = uid_of
        self._unfinished = unfinished
        self._server = server
        self._lock = threading.Lock()
        self._components: _Components | None = None
        self._bridges = BridgeDiscovery(clock=time.monotonic, has_address=is_host_address)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the maintenance thread."""
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the maintenance thread."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def open_endpoints(
        self, plan: JobPlan, network: NetworkState, info: EngineInfo, *, running: bool
    ) -> ProgressEndpoints:
        """Opens the listeners that a job needs, unless they are open, and returns where its pods report to.

        Args:
            plan: of the job.
            network: of the job.
            info: facts of the engine.
            running: containers with a network of their own run, so their bridge must be there.
        """
        pods = [pod for pod in plan.pods if is_reporting(pod)]
        if not pods:
            return ProgressEndpoints()
        if reason := unreachable_reason(info):
            return ProgressEndpoints(problem=_problem(reason))
        addresses: dict[tuple[str, int], str] = {}
        problem = ""
        for pod in pods:
            try:
                addresses[pod.step, pod.index] = self._open_endpoint(
                    pod, plan, network, info, running=running
                )
            except (ReconcilerError, OSError) as error:
                problem = problem or _problem(describe_fault(error))
        return ProgressEndpoints(addresses=addresses, problem=problem)

    def _open_endpoint(
        self, pod: PodPlan, plan: JobPlan, network: NetworkState, info: EngineInfo, *, running: bool
    ) -> str:
        bridged = not pod.host_network and info.name != "process"
        address = network.gateway if bridged else LOOPBACK
        key = f"{plan.namespace}/{plan.name}"
        # Podman creates the bridge with the first container; Docker's is there with the network.
        early = bridged and info.name == "podman"
        if bridged and not address:
            raise ReconcilerError(f"the network {network.name} has no gateway")
        if early and info.rootless:
            # The networks are in a namespace that this process is not in, but may have a way into.
            port = self._get_components().rootless.open(info, address, key, running=running)
            return format_host_port(address, port)
        if early and self._bridges.check(key, address, running=running):
            self._reports.request_pass(key, RECHECK_DELAY)
        missing = self._bridges.elsewhere if early else bridged and not is_host_address(address)
        if missing:
            raise ReconcilerError("the gateway of its network is no address of this host")
        port = self._get_components().listeners.open(address, key, freebind=early)
        return format_host_port(address, port)

    def mounted_data(self, kind: str, name: str, record: Record) -> Mapping[str, bytes] | None:
        """Returns the data of the ConfigMap or Secret that a job's volume refers to; None for any other.

        The ConfigMap has the authority's certificate, the Secret a new token.
        """
        if (kind, name) == ("ConfigMap", ca_config_map_name(record.name)):
            return {CA_FILE: self._get_components().authority.certificate}
        if (kind, name) == ("Secret", token_secret_name(record.name)):
            tokens = self._get_components().tokens
            token = tokens.issue(namespace=record.namespace, job=record.name, uid=record.uid)
            return {TOKEN_FILE: token.encode()}
        return None

    def maintain(self) -> None:
        """Renews old tokens; closes unused listeners."""
        with self._lock:
            components = self._components
        if components is None and not is_folder(self._files):
            return
        renewed = renew_tokens(self._files, self._issue_token, now=time.time())
        if renewed:
            _log.debug("progress tokens renewed", count=renewed)
        if components is not None:
            components.listeners.close_unused(self._unfinished())

    def _issue_token(self, namespace: str, job: str) -> str | None:
        uid = self._uid_of(f"{namespace}/{job}")
        if uid is None:
            return None
        return self._get_components().tokens.issue(namespace=namespace, job=job, uid=uid)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self.maintain()
            except ReconcilerError as error:
                retry_in = MAINTENANCE_INTERVAL
                _log.warning("progress maintenance failed", reason=str(error), retry_in=retry_in)
            except Exception:  # noqa: BLE001  (the thread's boundary: tokens would expire unnoticed)
                _log.exception("progress maintenance failed")
            self._closed.wait(MAINTENANCE_INTERVAL)

    def _get_components(self) -> _Components:
        """Returns keys, handler and listeners, created once.

        Raises:
            StateError: the state folder cannot be read or written.
        """
        with self._lock:
            if self._components is None:
                self._components = self._create_components()
            return self._components

    def _create_components(self) -> _Components:
        from reconciler.controller.nodeservices.progress.progress_handler import (  # noqa: PLC0415  (Starlette)
            ProgressHandler,
        )

        authority = CertificateAuthority(self._folder)
        tokens = ProgressTokens(load_or_create_key(self._folder / "token.key"), clock=time.time)
        handler = ProgressHandler(tokens=tokens, reports=self._reports, uid_of=self._uid_of)
        listeners = ProgressListeners(
            self._server,
            authority,
            handler.app,
            folder=self._folder,
            preferred=preferred_port(self._instance),
        )
        with suppress(OSError):
            self._folder.chmod(0o700)
        rootless = RootlessListeners(
            listeners,
            clock=time.monotonic,
            recheck=lambda key: self._reports.request_pass(key, RECHECK_DELAY),
        )
        return _Components(authority=authority, tokens=tokens, listeners=listeners, rootless=rootless)


def _problem(reason: str) -> str:
    return f"The training cannot report progress: {reason.rstrip('.')}. {CONSEQUENCE}"
