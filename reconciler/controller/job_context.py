"""What passes over jobs need of the daemon: an engine's hands, secrets, images, the host's capacity.

Nothing here decides. What is missing (no engine yet) is said by :class:`EngineUnavailable`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from reconciler.config.credentials import REGISTRY_AUTH, credential
from reconciler.config.settings import Settings
from reconciler.controller.enforcement.enforcer import Guard
from reconciler.controller.engine_session import Attachment
from reconciler.controller.executor.container_specs import Host
from reconciler.controller.executor.execution_context import Hands, for_job
from reconciler.controller.executor.generated_keys import make_secret
from reconciler.controller.executor.mounted_files import GeneratedSecrets
from reconciler.controller.nodeservices.image_puller import pull_policy
from reconciler.controller.nodeservices.progress.progress_endpoints import Reach
from reconciler.controller.nodeservices.progress.progress_service import ProgressService
from reconciler.controller.nodeservices.registry_credentials import CONFIG_JSON_KEY, auth_for
from reconciler.controller.plan_cache import Planner
from reconciler.controller.scheduler.admission_queue import CPUS, MEMORY
from reconciler.controller.statemachine.image_state import ImageState
from reconciler.controller.statemachine.observation import Observed, Probed, Refusal
from reconciler.engines.protocol import EngineInfo, NetworkState
from reconciler.errors import EngineUnavailable
from reconciler.names import ANNOTATION_PRIORITY
from reconciler.plan.addresses import plan_addresses
from reconciler.plan.job_plan import JobPlan
from reconciler.plan.required_secrets import GeneratedSecret, generated_secrets
from reconciler.sources.folder.catalog import Catalog
from reconciler.state.record import Record

#: Kubernetes' own classes.
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


class Provisions:
    """See the module.

    Args:
        settings: as chosen by the user.
        planner: knows the hashes of plans.
        catalog: the folder as it was read last.
    """

    def __init__(self, settings: Settings, planner: Planner, catalog: Callable[[], Catalog]) -> None:
        self._attachment: Attachment | None = None
        self.guard = Guard(settings)
        self.unavailable = EngineUnavailable("Waits for the container engine.")
        #: The commit in force, for the labels of what is made; "" for a plain folder.
        self.revision = ""
        self.progress: ProgressService | None = None
        self._settings = settings
        self._planner = planner
        self._catalog = catalog
        self._secrets = GeneratedSecrets(settings.state_dir / "secrets" / settings.instance)
        self._waiting_for_images: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def reconfigure(self, settings: Settings) -> None:
        """Other settings from now on."""
        self._settings = settings
        self.guard = self._guard()

    @property
    def attachment(self) -> Attachment | None:
        """The engine and what goes with it, once one has answered."""
        return self._attachment

    @attachment.setter
    def attachment(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self.guard = self._guard()
        self.guard.tidy()

    def _guard(self) -> Guard:
        info = self.info
        return Guard(self._settings, socket=info.host, same_mounts=info.same_mounts)

    def refusal(self, plan: JobPlan, record: Record) -> Refusal:
        """What the policy has against a job."""
        look = self.attached().engine.image_user
        return self.guard.refusal(plan, job=record.job, runtime=record.runtime, image_user=look)

    @property
    def info(self) -> EngineInfo:
        """Who the engine is; nobody before it has answered."""
        return self.attachment.info if self.attachment is not None else EngineInfo(name="", version="")

    def attached(self) -> Attachment:
        """The engine and what goes with it.

        Raises:
            EngineUnavailable: none has answered yet.
        """
        if self.attachment is None:
            raise self.unavailable
        return self.attachment

    def hands(self, plan: JobPlan | None, record: Record) -> Hands:
        """What actions for a job work with (EngineUnavailable before an engine has answered)."""
        attachment = self.attached()
        host = Host(
            instance=self._settings.instance,
            files=str(self._settings.state_dir.absolute() / "files" / self._settings.instance),
            memory=attachment.info.memory,
            revision=self.revision,
        )
        hands = Hands(
            engine=attachment.engine,
            logs=attachment.logs,
            launching=attachment.launching,
            stopping=attachment.stopping,
            host=host,
            lookup=self._lookup(plan, record),
            spec_hash=self._planner.digest(record) if plan is not None else "",
            forget_image=attachment.puller.forget,
            guard=self.guard,
            reach=self._reach,
        )
        return for_job(hands, record)

    def probed(self, plan: JobPlan, observed: Observed) -> Probed:
        """Which running containers' probes pass."""
        network = observed.network
        if self.attachment is None or network is None:
            return Probed()
        if not any(c.probed for i in plan.pods for c in i.containers):
            return Probed()
        addresses = plan_addresses(plan, network.subnet, network.gateway)
        return self.attachment.prober.probed(plan, observed, addresses)

    def pull(self, image: str, policy: str, secrets: tuple[str, ...], key: str, token: str) -> ImageState:
        """Ask for an image on behalf of a job, which comes up again when the image has changed."""
        attachment = self.attached()
        image = self.guard.image(image)
        namespace = key.partition("/")[0]
        known = self._catalog().secrets
        data = [d for s in secrets if (d := known.get((namespace, s))) is not None]
        if handed := credential(REGISTRY_AUTH):
            # The service's own, after the job's: those that fit as well win.
            data.append({CONFIG_JSON_KEY: handed})
        with self._lock:
            self._waiting_for_images.setdefault(image, set()).add(key)
        chosen = pull_policy(policy, self._settings.pull_policy)
        return attachment.puller.request(image, chosen, token=token, auth=auth_for(image, data))

    def image_changed(self, image: str) -> set[str]:
        """The jobs that wait for the image."""
        with self._lock:
            return self._waiting_for_images.pop(image, set())

    def pulling(self) -> bool:
        """Whether some job's image is being pulled."""
        with self._lock:
            images = [image for image, keys in self._waiting_for_images.items() if keys]
        puller = self.attachment.puller if self.attachment is not None else None
        return puller is not None and any(puller.state(image).status == "pulling" for image in images)

    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """The host's devices by class."""
        return self.attached().engine.devices()

    def capacity(self) -> Mapping[str, float]:
        """The host's CPUs and memory."""
        return {CPUS: self.info.cpus, MEMORY: float(self.info.memory)}

    def priority(self, plan: JobPlan) -> int:
        """The annotation, else the pods' own, else the value of the PriorityClass in the folder."""
        with suppress(KeyError, ValueError):
            return int(plan.annotations[ANNOTATION_PRIORITY])
        if plan.priority is not None:
            return plan.priority
        for document in self._catalog().documents:
            if document.kind == "PriorityClass" and document.name == plan.priority_class:
                value = document.raw.get("value")
                return value if isinstance(value, int) else 0
        return SYSTEM_PRIORITIES.get(plan.priority_class, 0)

    def forget_secrets(self, key: str) -> None:
        """The secrets made for a job that was deleted."""
        namespace, _, name = key.partition("/")
        self._secrets.remove(namespace, name)

    def _reach(self, plan: JobPlan, network: NetworkState, running: bool) -> Reach:
        if self.progress is None:
            return Reach()
        return self.progress.reach(plan, network, self.info, running=running)

    def _lookup(
        self, plan: JobPlan | None, record: Record
    ) -> Callable[[str, str], Mapping[str, bytes | str] | None]:
        made = {s.name: s for s in generated_secrets(plan)} if plan is not None else {}

        def look(kind: str, name: str) -> Mapping[str, bytes | str] | None:
            catalog = self._catalog()
            where = catalog.secrets if kind == "Secret" else catalog.configmaps
            found: Mapping[str, bytes | str] | None = where.get((record.namespace, name))
            if self.progress is not None:
                whose = {"namespace": record.namespace, "job": record.name, "uid": record.uid}
                if (material := self.progress.material(kind, name, **whose)) is not None:
                    return {**(found or {}), **material}
            if found is None and kind == "Secret" and name in made:
                return dict(self._made(record, made[name]))
            return found

        return look

    def _made(self, record: Record, secret: GeneratedSecret) -> Mapping[str, bytes]:
        make = partial(make_secret, secret)
        return self._secrets.ensure(record.namespace, record.name, secret.name, make)
