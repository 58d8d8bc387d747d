"""The policy at work: the verdict over a plan, and the same verdict again when a path of the host is used."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from reconciler.config.policy import Policy, matches
from reconciler.config.settings import Settings
from reconciler.controller.enforcement.host_paths import digest_of, grounds_of, look, policy_of
from reconciler.controller.enforcement.path_pinning import Binding, make_inside, open_held, sweep
from reconciler.controller.statemachine.observation import Refusal
from reconciler.engines.host.image_names import full_name
from reconciler.engines.host.subpath_folders import inside as make_part
from reconciler.engines.specs import ContainerSpec, Mount, VolumeSpec
from reconciler.errors import NotFound, PolicyRefused, StartFailed, StateError
from reconciler.plan.field_locations import origin_of
from reconciler.plan.job_plan import JobPlan, PodPlan, SecurityPlan
from reconciler.plan.policy.host_mounts import HOST_TYPES, Grounds, PathFacts, inside, rule_on_mount
from reconciler.plan.policy.violations import (
    Violation,
    host_paths,
    image_violations,
    images_in_doubt,
    leaves_user_to_image,
    read_only_mounts,
    rootly,
    rule_on_root,
    violations,
)

#: Whom an image has its containers run as; None: it is not there.
ImageUser = Callable[[str], str | None]

#: Of many violations, how many a condition tells.
MOST_TOLD = 5


@dataclass(frozen=True, kw_only=True)
class Held:
    """A container to be made whose hostPaths are held until it has started."""

    spec: ContainerSpec
    _fixed: tuple[tuple[str, tuple[int, int]], ...] = ()

    def confirm(self) -> None:
        """Right before the start: what could not be held is still what was judged.

        Raises:
            PolicyRefused: it is not.
        """
        for path, identity in self._fixed:
            os.close(open_held(path, identity))


class Guard:
    """See the module.

    Args:
        settings: as chosen by the user.
        socket: URL of the engine's socket; "" while none has answered.
        same_mounts: what this process mounts, the engine sees.
    """

    def __init__(self, settings: Settings, *, socket: str = "", same_mounts: bool = False) -> None:
        self._settings = settings
        self._socket = socket
        self._same_mounts = same_mounts
        self._places = settings.state_dir.absolute() / "held" / settings.instance

    def tidy(self) -> None:
        """Let go of what a killed daemon has left held; before anything is started, for it asks nobody."""
        if self._binds():
            sweep(self._places)

    @property
    def policy(self) -> Policy:
        """In force."""
        return policy_of(self._settings)

    def _grounds(self) -> Grounds:
        return grounds_of(self._settings, socket=self._socket)

    def digest(self) -> str:
        """Of policy and grounds: a refused job is judged anew when it changes."""
        return digest_of(self.policy, self._grounds())

    def violations(self, plan: JobPlan) -> tuple[Violation, ...]:
        """What the policy refuses of a plan, by the host as it is now."""
        return violations(plan, self.policy, self._grounds(), facts_of(plan))

    def refusal(
        self,
        plan: JobPlan,
        *,
        job: Mapping[str, object],
        runtime: Mapping[str, object],
        image_user: ImageUser,
    ) -> Refusal:
        """The verdict on a job, in words; with an empty message where nothing is refused.

        Raises:
            EngineError: it could not be asked about an image.
        """
        users = {image: image_user(self.image(image)) for image in sorted(images_in_doubt(plan, self.policy))}
        found = (*self.violations(plan), *image_violations(plan, self.policy, users))
        said = [told(each, job=job, runtime=runtime) for each in found[:MOST_TOLD]]
        if len(found) > MOST_TOLD:
            said.append(f"and {len(found) - MOST_TOLD} more")
        return Refusal(message="; ".join(said), digest=self.digest() if said else "")

    def notes(self, plan: JobPlan) -> tuple[str, ...]:
        """What is mounted read-only although the manifest does not say so."""
        paths = host_paths(plan)
        return read_only_mounts(plan, self.policy, self._grounds(), facts_of(plan)) if paths else ()

    def make_folders(self, pod: PodPlan) -> None:
        """Make what hostPath says: ``DirectoryOrCreate`` and ``FileOrCreate``, where it may be mounted.

        Raises:
            PolicyRefused: it may not.
            StateError: the host refuses, or has something of another type there.
        """
        for volume in pod.volumes:
            if volume.kind != "host" or not volume.host_type:
                continue
            facts = look(volume.source)
            self._rule(facts, facts, shown=volume.source, writes=False)
            if facts.kind not in {"missing", HOST_TYPES[volume.host_type]} and self._same_mounts:
                raise StateError(
                    f"The hostPath {volume.source} is a {facts.kind}; its volume says {volume.host_type}.",
                    remedy="Correct the volume's path or its type.",
                )
            if facts.kind != "missing" or not volume.host_type.endswith("OrCreate"):
                continue
            try:
                make_inside(facts.real, folder=volume.host_type == "DirectoryOrCreate")
            except OSError as error:
                raise StateError(f"Cannot make the hostPath {volume.source}: {error.strerror}.") from error

    def volume(self, spec: VolumeSpec) -> VolumeSpec:
        """A claim that the policy names may be another folder's."""
        return replace(spec, owner={}) if matches(spec.name, self.policy.claims) else spec

    def image(self, name: str) -> str:
        """The name that the engine is given: where images are judged by name, the one that was judged.

        An engine reads a short name as what it has: ``cafe`` may be the beginning of an id, and is
        ``localhost/cafe`` for a Podman that has this one.
        """
        wanted = self.policy.images
        return name if wanted.allow is None and wanted.digest != "required" else full_name(name)

    def with_user(self, spec: ContainerSpec, security: SecurityPlan, image_user: ImageUser) -> ContainerSpec:
        """The container with the image's own user looked at, where that is who it runs as.

        Raises:
            PolicyRefused: that is root, which the policy or the manifest does not allow.
            NotFound: the image is not there any more.
        """
        group = spec.security.user.startswith(":")
        judged = leaves_user_to_image(security, self.policy)
        if not group and not judged:
            return spec
        user = image_user(spec.image)
        if user is None:
            raise NotFound(f"The image {spec.image} is not there any more.")
        if judged and (why := rootly(user)):
            raise PolicyRefused(
                f"{spec.name} {why}, as its image {spec.image} has it ({rule_on_root(security)})."
            )
        if not group:
            return spec
        chosen = (user.partition(":")[0] or "0") + spec.security.user
        return replace(spec, security=replace(spec.security, user=chosen))

    @contextmanager
    def held(
        self, spec: ContainerSpec, bound_folder: Callable[[Mount], str | None] = lambda _mount: None
    ) -> Iterator[Held]:
        """The container with its hostPaths judged, resolved, and held while it is made and started.

        So are parts of volumes that the engine mounts by their path: who has the whole volume may link there.

        Args:
            spec: as planned.
            bound_folder: of the engine (:meth:`~reconciler.engines.protocol.Engine.bound_folder`).

        Raises:
            PolicyRefused: one may not be mounted, or changes under our eyes.
            StartFailed: one is not there.
        """
        mounts: list[Mount] = []
        fixed: list[tuple[str, tuple[int, int]]] = []
        with ExitStack() as stack:
            for mount in spec.mounts:
                if mount.root:
                    mounts.append(self._held(mount, stack, fixed))
                elif mount.kind == "volume" and mount.sub_path and self._binds():
                    mounts.append(self._held_part(mount, bound_folder(mount), stack))
                else:
                    mounts.append(mount)
            yield Held(spec=replace(spec, mounts=tuple(mounts)), _fixed=tuple(fixed))

    def _held(self, mount: Mount, stack: ExitStack, fixed: list[tuple[str, tuple[int, int]]]) -> Mount:
        whole, used = look(mount.root), look(mount.source)
        read_only = self._rule(whole, used, shown=mount.source, writes=not mount.read_only)
        mount = replace(mount, source=used.real, read_only=mount.read_only or read_only)
        if used.identity is None:
            if not self._same_mounts:
                return mount  # on another machine, perhaps: the engine will tell
            real = f" ({used.real})" if used.real != mount.root else ""
            raise StartFailed(
                f"The hostPath {mount.root}{real} is not there.",
                remedy="Make it, or give the volume the type DirectoryOrCreate.",
            )
        fd = open_held(used.real, used.identity)
        stack.callback(os.close, fd)
        if self._binds() and self._is_loose(used.real):
            return replace(mount, source=self._bound(fd, stack))
        fixed.append((used.real, used.identity))
        return mount

    def _held_part(self, mount: Mount, folder: str | None, stack: ExitStack) -> Mount:
        if folder is None:
            return mount
        whole, part = look(folder), look(make_part(folder, mount.sub_path))
        if part.identity is None or not inside(part.real, whole.real):
            raise StartFailed(f"The subPath {mount.sub_path} of {mount.source} changes while it is mounted.")
        fd = open_held(part.real, part.identity)
        stack.callback(os.close, fd)
        place = self._bound(fd, stack)
        return replace(mount, kind="bind", source=place, sub_path="", root=part.real)

    def _binds(self) -> bool:
        """Whether what this process binds is what the engine finds there."""
        return self._same_mounts and os.geteuid() == 0

    def _bound(self, fd: int, stack: ExitStack) -> str:
        binding = Binding(fd, self._places / secrets.token_hex(8))
        stack.callback(binding.release)
        return str(binding.place)

    def _is_loose(self, path: str) -> bool:
        """Whether a container may have a folder above the path writable, and rename in it."""
        grounds = self._grounds()
        areas = [prefix.real for prefix in grounds.prefixes if not prefix.read_only]
        if self.policy.workspace and grounds.workspace:
            areas.append(grounds.workspace)
        return any(path != area and inside(path, area) for area in areas)

    def _rule(self, whole: PathFacts, used: PathFacts, *, shown: str, writes: bool) -> bool:
        ruling = rule_on_mount(whole, used, self.policy, self._grounds(), shown=shown, writes=writes)
        if ruling.refusal is not None:
            rule, message, remedy = ruling.refusal
            raise PolicyRefused(f"{message} ({rule}).", remedy=remedy)
        return ruling.read_only


def facts_of(plan: JobPlan) -> dict[tuple[str, str], PathFacts]:
    """Every path of the host that a plan names, as it is now."""
    return {
        (path, sub): look(os.path.join(path, sub) if sub else path)  # noqa: PTH118
        for path, sub in host_paths(plan)
    }


def told(violation: Violation, *, job: Mapping[str, object], runtime: Mapping[str, object]) -> str:
    """A violation with the place that it comes from."""
    origin = origin_of(violation.step, violation.field, job=job, runtime=runtime)
    of_runtime = ""
    if origin.document == "runtime":
        metadata = runtime.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, Mapping) else ""
        of_runtime = f" of the runtime {name}"
    return f"{origin.path}{of_runtime}: {violation}"
