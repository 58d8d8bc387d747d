"""The daemon's session with its container engine, and what passes over jobs need of it.

The daemon outlives its engine: until one has answered, every request of a pass raises
:class:`EngineUnavailable`; from then on the engine's client reconnects by itself, call by call. Nothing here
decides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from reconciler.config.credentials import REGISTRY_AUTH, read_credential
from reconciler.config.settings import Settings
from reconciler.controller.enforcement.enforcer import PolicyEnforcer
from reconciler.controller.executor.execution_context import ExecutionContext
from reconciler.controller.executor.generated_secrets import GeneratedSecrets
from reconciler.controller.executor.placement import Host
from reconciler.controller.executor.secret_lookup import secret_lookup
from reconciler.controller.nodeservices.image_puller import ImagePuller, effective_pull_policy
from reconciler.controller.nodeservices.logs.log_collector import LogCollector
from reconciler.controller.nodeservices.probe_runner import ProbeRunner
from reconciler.controller.nodeservices.progress.progress_endpoints import (
    ProgressEndpoints,
    is_pod_reachable,
)
from reconciler.controller.nodeservices.progress.progress_service import ProgressService
from reconciler.controller.nodeservices.registry_credentials import CONFIG_JSON_KEY, find_credentials
from reconciler.controller.plan_cache import PlanCache
from reconciler.controller.scheduler.job_priority import job_priority
from reconciler.controller.scheduler.resources import CPU, MEMORY
from reconciler.controller.statemachine.actions import ImageRequest
from reconciler.controller.statemachine.observation import ImageState, Observed, PolicyRefusal, ProbeResults
from reconciler.controller.thread_pool import DaemonThreadPool
from reconciler.engines.protocol import Engine, EngineInfo, NetworkState
from reconciler.errors import EngineUnavailable
from reconciler.names import LABEL_UID, job_selector
from reconciler.plan.addresses import plan_addresses
from reconciler.plan.job_plan import JobPlan
from reconciler.sources.folder.catalog import Catalog
from reconciler.state.record import Record

#: Containers created at a time, over all jobs (measured: more gains nothing on two cores). Those that hang
#: do not count; no job has more than the same number, and all together no more than the limit.
LAUNCH_WIDTH = 4
LAUNCH_LIMIT = 64
#: Containers stopped at a time: a stop waits out its grace period and costs nothing meanwhile.
STOP_WIDTH = 64
STOP_LIMIT = 256
#: Why a job waits while the first connection is made.
CONNECTING = "Waits for the container engine."

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ConnectedEngine:
    """An engine that has answered ``info``, and the services that run beside the passes."""

    engine: Engine
    info: EngineInfo
    logs: LogCollector
    image_puller: ImagePuller
    probe_runner: ProbeRunner
    launch_pool: DaemonThreadPool
    stop_pool: DaemonThreadPool

    def close(self) -> None:
        """End the services; containers go on."""
        self.probe_runner.close()
        self.image_puller.close()
        self.logs.close(timeout=0.5)
        self.launch_pool.shutdown()
        self.stop_pool.shutdown()


class EngineSession:
    """See the module.

    Args:
        settings: as chosen by the user.
        plans: of the jobs.
        catalog: returns the folder as it was read last.
        clock: seconds since the epoch.
        wake: puts a job's key into the work queue.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        plans: PlanCache,
        catalog: Callable[[], Catalog],
        clock: Callable[[], float],
        wake: Callable[[str], None],
    ) -> None:
        self.connected: ConnectedEngine | None = None
        #: Why no engine is connected; of no meaning once one is.
        self.unavailable = EngineUnavailable(CONNECTING)
        self.enforcer = PolicyEnforcer(settings)
        #: The commit in force, for the labels of what is created; "" for a plain folder.
        self.revision = ""
        self.progress: ProgressService | None = None
        self._settings = settings
        self._plans = plans
        self._catalog = catalog
        self._clock = clock
        self._wake = wake
        self._generated_secrets = GeneratedSecrets(settings.state_dir / "secrets" / settings.instance)
        self._jobs_waiting_for_image: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    # -- the connection

    def connect(self, engine: Engine) -> None:
        """Use this engine from now on.

        Raises:
            EngineUnavailable: it does not answer.
        """
        info = engine.info()
        _log.info("engine connected", engine=info.name, version=info.version, host=info.host)
        self.connected = ConnectedEngine(
            engine=engine,
            info=info,
            logs=LogCollector(engine, self._settings.log_dir, clock=time.monotonic, on_change=self._wake),
            image_puller=ImagePuller(engine, on_change=self._image_changed, clock=self._clock),
            probe_runner=ProbeRunner(engine, reaches=partial(is_pod_reachable, info), on_change=self._wake),
            launch_pool=DaemonThreadPool(LAUNCH_WIDTH, "launch", limit=LAUNCH_LIMIT, share=LAUNCH_WIDTH),
            stop_pool=DaemonThreadPool(STOP_WIDTH, "stop", limit=STOP_LIMIT),
        )
        self.enforcer = self._build_enforcer()
        self.enforcer.release_leftovers()

    def reconfigure(self, settings: Settings) -> None:
        """Use other settings from now on."""
        self._settings = settings
        self.enforcer = self._build_enforcer()

    def close(self) -> None:
        """End the services beside the passes; containers go on."""
        if self.connected is not None:
            self.connected.close()

    @property
    def info(self) -> EngineInfo:
        """What the engine says of itself; empty before one has answered."""
        return self.connected.info if self.connected is not None else EngineInfo(name="", version="")

    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """The host's devices by class."""
        return self._require_connected().engine.devices()

    def host_resources(self) -> Mapping[str, float]:
        """The host's CPUs and memory."""
        return {CPU: self.info.cpus, MEMORY: float(self.info.memory)}

    def _require_connected(self) -> ConnectedEngine:
        if self.connected is None:
            raise self.unavailable
        return self.connected

    def _build_enforcer(self) -> PolicyEnforcer:
        return PolicyEnforcer(self._settings, socket=self.info.host, same_mounts=self.info.same_mounts)

    # -- what a pass needs

    def context(self, plan: JobPlan | None, record: Record) -> ExecutionContext:
        """What actions for a job work with.

        Raises:
            EngineUnavailable: no engine has answered yet.
        """
        connected = self._require_connected()
        files = self._settings.state_dir.absolute() / "files" / self._settings.instance
        return ExecutionContext(
            engine=connected.engine,
            logs=connected.logs,
            launch_pool=connected.launch_pool,
            stop_pool=connected.stop_pool,
            selector=job_selector(record.namespace, record.name, self._settings.instance),
            host=Host(
                instance=self._settings.instance,
                files=str(files / record.namespace / record.name),
                memory=connected.info.memory,
                revision=self.revision,
            ),
            lookup=secret_lookup(
                plan, record, catalog=self._catalog, progress=self.progress, generated=self._generated_secrets
            ),
            spec_hash=self._plans.spec_hash(record) if plan is not None else "",
            enforcer=self.enforcer,
            priority=job_priority(plan, self._catalog().documents) if plan is not None else 0,
            pull_image=partial(self._pull_image, record),
            forget_image=connected.image_puller.forget,
            progress_endpoints=partial(self._progress_endpoints, plan),
        )

    def has_started(self, record: Record) -> bool:
        """Whether the engine has a container of the job that has started, recorded or not.

        Raises:
            EngineUnavailable: no engine answers.
            EngineError: the listing failed.
        """
        return has_started(self._require_connected().engine, record, self._settings.instance)

    def probe(self, plan: JobPlan, observed: Observed) -> ProbeResults:
        """The results of the running containers' probes; a container's first request starts its probes."""
        network = observed.network
        if network is None or not any(c.has_probe for pod in plan.pods for c in pod.containers):
            return ProbeResults()
        addresses = plan_addresses(plan, network.subnet, network.gateway)
        return self._require_connected().probe_runner.sync(plan, observed, addresses)

    def policy_refusal(self, plan: JobPlan, record: Record) -> PolicyRefusal:
        """Why the policy in force refuses the job."""
        image_user = self._require_connected().engine.image_user
        return self.enforcer.check(plan, record, image_user)

    def remove_secrets(self, key: str) -> None:
        """Remove the secrets that were generated for a deleted job."""
        namespace, _, name = key.partition("/")
        self._generated_secrets.remove(namespace, name)

    def _progress_endpoints(
        self, plan: JobPlan | None, network: NetworkState, running: bool
    ) -> ProgressEndpoints:
        if self.progress is None or plan is None:
            return ProgressEndpoints()
        return self.progress.open_endpoints(plan, network, self.info, running=running)

    # -- images

    def pulls_image(self) -> bool:
        """Whether an image that some job waits for is being pulled."""
        if self.connected is None:
            return False
        with self._lock:
            images = list(self._jobs_waiting_for_image)
        return any(self.connected.image_puller.state(image).status == "pulling" for image in images)

    def reads_logs(self) -> bool:
        """Whether the log of a container that has ended is still being read."""
        return self.connected is not None and self.connected.logs.is_reading()

    def _pull_image(self, record: Record, request: ImageRequest) -> ImageState:
        """Request an image for a job, whose key is queued when the image has changed."""
        connected = self._require_connected()
        image = self.enforcer.full_image_name(request.image)
        secrets = self._catalog().secrets
        data = [d for s in request.pull_secrets if (d := secrets.get((record.namespace, s))) is not None]
        if service_credential := read_credential(REGISTRY_AUTH):
            # After the job's own: those that match as well win.
            data.append({CONFIG_JSON_KEY: service_credential})
        with self._lock:
            self._jobs_waiting_for_image.setdefault(image, set()).add(record.key)
        return connected.image_puller.request(
            image,
            effective_pull_policy(request.policy, self._settings.pull_policy),
            token=f"{record.uid}/{record.attempt}",
            auth=find_credentials(image, data),
        )

    def _image_changed(self, image: str) -> None:
        with self._lock:
            keys = self._jobs_waiting_for_image.pop(image, set())
        for key in sorted(keys):
            self._wake(key)


def has_started(engine: Engine, record: Record, instance: str) -> bool:
    """Whether the engine has a container of the job that has started, recorded or not.

    Raises:
        EngineUnavailable: no engine answers.
        EngineError: the listing failed.
    """
    if record.started_at is None:
        return False  # nothing was launched yet, which is recorded before it is done
    found = engine.list_containers(job_selector(record.namespace, record.name, instance))
    return any(state.state != "created" for state in found if state.labels.get(LABEL_UID) == record.uid)
