"""The progress service of one daemon: keys, listeners, the desk, and the thread that keeps them in order.

Nothing here keeps a job from running: where the service cannot work (a full disk, a port that is taken, an
engine elsewhere) the job is told so once and runs without it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from reconciler.config.settings import Settings
from reconciler.controller.nodeservices.progress import progress_endpoints
from reconciler.controller.nodeservices.progress.bridge_discovery import DOUBT, Bridges
from reconciler.controller.nodeservices.progress.progress_endpoints import Reach
from reconciler.controller.nodeservices.progress.progress_handler import Desk
from reconciler.controller.nodeservices.progress.progress_listeners import Listeners, preferred_port
from reconciler.controller.nodeservices.progress.progress_reports import Inbox
from reconciler.controller.nodeservices.progress.progress_tokens import Tokens, kept_key
from reconciler.controller.nodeservices.progress.rootless_listeners import RootlessNetworks
from reconciler.controller.nodeservices.progress.token_renewal import renew_tokens
from reconciler.engines.protocol import EngineInfo, NetworkState
from reconciler.errors import ReconcilerError
from reconciler.plan.job_plan import JobPlan, PodPlan
from reconciler.plan.progress_reporting import CA_FILE, TOKEN_FILE, authority_name, reports, token_name
from reconciler.server.certificate_authority import Authority
from reconciler.server.http_server import Server

#: Seconds between two looks at tokens and listeners.
TICK: Final = 20.0
WITHOUT: Final = "Containers that start now get no KUBEFLOW_TRAINER_SERVER_URL."

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Parts:
    authority: Authority
    tokens: Tokens
    listeners: Listeners
    rootless: RootlessNetworks


class ProgressService:
    """See the module; what it needs of the disk is made when the first job wants it.

    Args:
        settings: say where keys and files are kept.
        inbox: takes reports.
        uid_of: of the job ``namespace/name`` as it is now; None where there is none.
        live: keys of the jobs that may still report.
        server: of the daemon's endpoints.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        inbox: Inbox,
        uid_of: Callable[[str], str | None],
        live: Callable[[], set[str]],
        server: Server,
    ) -> None:
        state = settings.state_dir.absolute()
        self._folder = state / "progress" / settings.instance
        self._files = state / "files" / settings.instance
        self._instance = settings.instance
        self._inbox = inbox
        self._uid_of = uid_of
        self._live = live
        self._server = server
        self._lock = threading.Lock()
        self._parts: _Parts | None = None
        self._bridges = Bridges(clock=time.monotonic)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Renew tokens that have got old, now and from now on."""
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hear nothing any more; the server is its owner's to close."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def reach(self, plan: JobPlan, network: NetworkState, info: EngineInfo, *, running: bool) -> Reach:
        """Open what the job needs, unless it is open, and say where its instances report to.

        Args:
            plan: of the job.
            network: of the job.
            info: who the engine is.
            running: containers with a network of their own run, so their bridge must be there.
        """
        wanted = [i for i in plan.pods if reports(i)]
        if not wanted:
            return Reach()
        if why := progress_endpoints.elsewhere(info):
            return Reach(trouble=_sentence(why))
        addresses: dict[tuple[str, int], str] = {}
        trouble = ""
        for instance in wanted:
            try:
                addresses[instance.step, instance.index] = self._endpoint(
                    instance, plan, network, info, running=running
                )
            except ReconcilerError as error:
                trouble = trouble or _sentence(str(error))
        return Reach(addresses=addresses, trouble=trouble)

    def _endpoint(
        self, instance: PodPlan, plan: JobPlan, network: NetworkState, info: EngineInfo, *, running: bool
    ) -> str:
        address = progress_endpoints.address_for(instance, info, network.gateway)
        bridged = address != progress_endpoints.LOOPBACK
        key = f"{plan.namespace}/{plan.name}"
        # Podman makes the bridge with the first container; Docker's is there with the network.
        early = bridged and info.name == "podman"
        if bridged and not address:
            raise ReconcilerError(f"the network {network.name} has no gateway")
        if bridged and progress_endpoints.is_inside(info):
            port = self._ready().rootless.port(info, address, key, running=running)
            return progress_endpoints.endpoint(address, port)
        if early and self._bridges.look(key, address, running=running):
            self._inbox.wake_after(key, DOUBT)
        if (early and self._bridges.elsewhere) or (
            bridged and not early and not progress_endpoints.is_local(address)
        ):
            raise ReconcilerError("the gateway of its network is no address of this host")
        port = self._ready().listeners.port(address, key, early=early)
        return progress_endpoints.endpoint(address, port)

    def material(
        self, kind: str, name: str, *, namespace: str, job: str, uid: str
    ) -> Mapping[str, bytes] | None:
        """Data of the ConfigMap and of the Secret that a plan's volume refers to; None for any other."""
        if (kind, name) == ("ConfigMap", authority_name(job)):
            return {CA_FILE: self._ready().authority.certificate}
        if (kind, name) == ("Secret", token_name(job)):
            token = self._ready().tokens.issue(namespace=namespace, job=job, uid=uid)
            return {TOKEN_FILE: token.encode()}
        return None

    def tidy(self) -> None:
        """Renew tokens, close what nobody uses."""
        with self._lock:
            parts = self._parts
        if parts is None and not self._files.is_dir():
            return
        renewed = renew_tokens(self._files, self._issue, now=time.time())
        if renewed:
            _log.debug("renewed progress tokens", count=renewed)
        if parts is not None:
            parts.listeners.release(self._live())

    def _issue(self, namespace: str, job: str) -> str | None:
        uid = self._uid_of(f"{namespace}/{job}")
        return self._ready().tokens.issue(namespace=namespace, job=job, uid=uid) if uid is not None else None

    def _work(self) -> None:
        while not self._closed.is_set():
            try:
                self.tidy()
            except ReconcilerError as error:
                _log.warning("progress tokens could not be renewed; trying again", reason=str(error))
            except Exception:  # noqa: BLE001  (the thread's boundary: tokens would run out unseen)
                _log.exception("an error of this program; please report it")
            self._closed.wait(TICK)

    def _ready(self) -> _Parts:
        """Keys, desk and listeners, made once.

        Raises:
            StateError: the state folder cannot be read or written.
        """
        with self._lock:
            if self._parts is None:
                authority = Authority(self._folder)
                tokens = Tokens(kept_key(self._folder / "token.key"), clock=time.time)
                desk = Desk(tokens=tokens, inbox=self._inbox, uid_of=self._uid_of)
                listeners = Listeners(
                    self._server,
                    authority,
                    desk.routes,
                    folder=self._folder,
                    preferred=preferred_port(self._instance),
                )
                with suppress(OSError):
                    self._folder.chmod(0o700)
                rootless = RootlessNetworks(
                    listeners,
                    clock=time.monotonic,
                    doubt=lambda key: self._inbox.wake_after(key, DOUBT),
                )
                self._parts = _Parts(
                    authority=authority, tokens=tokens, listeners=listeners, rootless=rootless
                )
            return self._parts


def _sentence(why: str) -> str:
    return f"The training's progress cannot be heard: {why.rstrip('.')}. {WITHOUT}"
