"""Enforces the policy: checks a plan, and checks each host path again when a container mounts it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from reconciler.common.host_looks import LOOKS, Step, UnansweredError
from reconciler.config.policy import Policy, matches_any
from reconciler.config.settings import Settings
from reconciler.controller.enforcement.host_paths import (
    HostPathUnansweredError,
    inspect_path,
    inspect_plan_paths,
    policy_digest,
    require_answers,
    resolve_host_paths,
)
from reconciler.controller.enforcement.path_pinning import (
    BindMount,
    create_path,
    open_pinned,
    unmount_leftovers,
)
from reconciler.controller.statemachine.observation import PolicyRefusal
from reconciler.engines.host.image_references import full_name
from reconciler.engines.host.sub_paths import prepare_sub_path
from reconciler.engines.specs import ContainerSpec, Mount, VolumeSpec
from reconciler.errors import NotFound, PolicyDenied, StartFailed, StateError
from reconciler.plan.job_plan import JobPlan, PodPlan, SecurityPlan
from reconciler.plan.pod.volume_paths import HOST_PATH_TYPES
from reconciler.plan.policy.field_locations import locate_field
from reconciler.plan.policy.host_mounts import HostPaths, PathInfo, check_mount, is_inside
from reconciler.plan.policy.image_users import (
    explain_root,
    find_image_violations,
    images_to_inspect,
    needs_image_user,
    root_rule,
)
from reconciler.plan.policy.violations import (
    DEFAULT_POLICY,
    Violation,
    describe_read_only_mounts,
    find_host_path_violations,
    find_text_violations,
    host_path_mounts,
)
from reconciler.state.record import Record

#: Returns the user that an image runs as; None where the image is not in the engine's store.
ImageUser = Callable[[str], str | None]

#: How many violations a condition's message lists.
MAX_VIOLATIONS_SHOWN: Final = 5


@dataclass(frozen=True, kw_only=True)
class PinnedContainer:
    """A container to be created whose hostPaths are pinned until it has started."""

    spec: ContainerSpec
    _unpinned: tuple[tuple[str, tuple[int, int]], ...] = ()

    def verify(self) -> None:
        """Checks, right before the start, that the paths which could not be pinned are still the same.

        Raises:
            PolicyDenied: one is not.
            HostPathUnansweredError: its file system does not answer.
        """
        for path, identity in self._unpinned:
            os.close(_open_pinned(path, identity))


class PolicyEnforcer:
    """The policy of one instance on one engine.

    Args:
        settings: as chosen by the user.
        socket: URL of the engine's socket; "" while none has answered.
        same_mounts: the engine sees what this process mounts.
    """

    def __init__(self, settings: Settings, *, socket: str = "", same_mounts: bool = False) -> None:
        self._settings = settings
        self._socket = socket
        self._same_mounts = same_mounts
        self._pins = settings.state_dir.absolute() / "held" / settings.instance

    def release_leftovers(self) -> None:
        """Unmounts what a killed daemon has left pinned; call it before any container is started."""
        if self._can_bind_mount():
            unmount_leftovers(self._pins)

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._settings.policy or DEFAULT_POLICY

    def policy_digest(self) -> str:
        """Returns a digest of policy and host paths: when it changes, a refused job is checked again."""
        return policy_digest(self.policy, self._host_paths())

    def violations(self, plan: JobPlan) -> tuple[Violation, ...]:
        """Returns what the policy refuses of a plan, by the host as it is now.

        The host is only looked at for a plan that nothing is refused of by its text alone: a look may hang,
        and may mount something.

        Raises:
            HostPathUnansweredError: a folder of the settings is on a file system that does not answer.
        """
        return self._text_violations(plan) or self._host_path_violations(plan, inspect_plan_paths(plan))

    def _text_violations(self, plan: JobPlan) -> tuple[Violation, ...]:
        return find_text_violations(plan, self.policy)

    def _host_path_violations(
        self, plan: JobPlan, paths: Mapping[tuple[str, str], PathInfo]
    ) -> tuple[Violation, ...]:
        if not paths:
            return ()
        return find_host_path_violations(plan, self.policy, self._host_paths(), paths)

    def check(self, plan: JobPlan, record: Record, image_user: ImageUser) -> PolicyRefusal:
        """Returns why the policy refuses a job; with an empty message where it does not.

        Raises:
            EngineError: the engine could not be asked about an image.
            HostPathUnansweredError: a path is on a file system that does not answer.
        """
        violations = self._text_violations(plan)
        if not violations:
            paths = inspect_plan_paths(plan)
            require_answers(paths.values())
            violations = self._host_path_violations(plan, paths)
        images = sorted(images_to_inspect(plan, self.policy))
        users = {image: image_user(self.full_image_name(image)) for image in images}
        violations = (*violations, *find_image_violations(plan, self.policy, users))
        shown = [_describe_violation(v, record) for v in violations[:MAX_VIOLATIONS_SHOWN]]
        if len(violations) > MAX_VIOLATIONS_SHOWN:
            shown.append(f"and {len(violations) - MAX_VIOLATIONS_SHOWN} more")
        return PolicyRefusal(message="; ".join(shown), digest=self.policy_digest() if shown else "")

    def read_only_notes(self, plan: JobPlan) -> tuple[str, ...]:
        """Returns a sentence for each mount that the policy, not the manifest, makes read-only."""
        if not host_path_mounts(plan):
            return ()
        return describe_read_only_mounts(plan, self.policy, self._host_paths(), inspect_plan_paths(plan))

    def create_host_paths(self, pod: PodPlan) -> None:
        """Creates the hostPaths of type ``DirectoryOrCreate`` and ``FileOrCreate`` that may be mounted.

        Raises:
            PolicyDenied: one may not be mounted.
            StateError: the host refuses, has something of another type there, or does not answer.
        """
        for volume in pod.volumes:
            if volume.kind != "host" or not volume.host_type:
                continue
            info = inspect_path(volume.source)
            self._check_mount(info, info, manifest_path=volume.source, writable=False)
            if info.kind not in {"missing", HOST_PATH_TYPES[volume.host_type]} and self._same_mounts:
                raise StateError(
                    f"The hostPath {volume.source} is a {info.kind}; its volume says {volume.host_type}.",
                    remedy="Correct the volume's path or its type.",
                )
            if info.kind != "missing" or not volume.host_type.endswith("OrCreate"):
                continue
            folder = volume.host_type == "DirectoryOrCreate"
            try:
                LOOKS.run(info.real, partial(_create_path, info.real, folder))
            except UnansweredError:
                raise HostPathUnansweredError(volume.source) from None
            except OSError as error:
                raise StateError(f"Cannot make the hostPath {volume.source}: {error.strerror}.") from error

    def adjust_volume_owner(self, spec: VolumeSpec) -> VolumeSpec:
        """Returns a claim's volume; without an owner where the policy lists it, as another may own it."""
        return replace(spec, owner_labels={}) if matches_any(spec.name, self.policy.claims) else spec

    def full_image_name(self, name: str) -> str:
        """Returns the image name for the engine: the full one, where the policy checks images by name.

        An engine resolves a short name to what it has: ``cafe`` may be the beginning of an id, and is
        ``localhost/cafe`` for a Podman that has this one.
        """
        images = self.policy.images
        return name if images.allow is None and images.digest != "required" else full_name(name)

    def resolve_image_user(
        self, spec: ContainerSpec, security: SecurityPlan, image_user: ImageUser
    ) -> ContainerSpec:
        """Returns the container with the image's own user filled in and checked, where it runs as that.

        Raises:
            PolicyDenied: the user is root, which the policy or the manifest does not allow.
            NotFound: the image has disappeared.
        """
        group_only = spec.security.user.startswith(":")
        checked = needs_image_user(security, self.policy)
        if not group_only and not checked:
            return spec
        user = image_user(spec.image)
        if user is None:
            raise NotFound(f"The image {spec.image} is not there any more.")
        if checked and (reason := explain_root(user)):
            raise PolicyDenied(
                f"{spec.name} {reason}, as its image {spec.image} has it ({root_rule(security)})."
            )
        if not group_only:
            return spec
        user_and_group = (user.partition(":")[0] or "0") + spec.security.user
        return replace(spec, security=replace(spec.security, user=user_and_group))

    @contextmanager
    def pin_host_paths(
        self, spec: ContainerSpec, sub_path_root: Callable[[Mount], str | None] = lambda _mount: None
    ) -> Iterator[PinnedContainer]:
        """Checks and resolves a container's hostPaths, and pins them while it is created and started.

        Also sub-paths of volumes that the engine mounts by their path: a container that has the whole volume
        may put a link there.

        Args:
            spec: as planned.
            sub_path_root: the engine's (:meth:`~reconciler.engines.protocol.Engine.sub_path_root`).

        Raises:
            PolicyDenied: a path may not be mounted, or changes meanwhile.
            StartFailed: a path is missing.
            HostPathUnansweredError: its file system does not answer.
        """
        mounts: list[Mount] = []
        unpinned: list[tuple[str, tuple[int, int]]] = []
        with ExitStack() as stack:
            for mount in spec.mounts:
                if mount.root:
                    mounts.append(self._pin(mount, stack, unpinned))
                elif mount.kind == "volume" and mount.sub_path and self._can_bind_mount():
                    mounts.append(self._pin_sub_path(mount, sub_path_root(mount), stack))
                else:
                    mounts.append(mount)
            yield PinnedContainer(spec=replace(spec, mounts=tuple(mounts)), _unpinned=tuple(unpinned))

    def _pin(self, mount: Mount, stack: ExitStack, unpinned: list[tuple[str, tuple[int, int]]]) -> Mount:
        volume, mounted = inspect_path(mount.root), inspect_path(mount.source)
        read_only = self._check_mount(
            volume, mounted, manifest_path=mount.source, writable=not mount.read_only
        )
        mount = replace(mount, source=mounted.real, read_only=mount.read_only or read_only)
        if mounted.identity is None:
            if not self._same_mounts:
                return mount  # possibly on another machine: the engine reports a missing path
            real = f" ({mounted.real})" if mounted.real != mount.root else ""
            raise StartFailed(
                f"The hostPath {mount.root}{real} is not there.",
                remedy="Make it, or give the volume the type DirectoryOrCreate.",
            )
        fd = _open_pinned(mounted.real, mounted.identity)
        stack.callback(os.close, fd)
        if self._can_bind_mount() and self._is_replaceable(mounted.real):
            return replace(mount, source=self._bind_mount(fd, stack))
        unpinned.append((mounted.real, mounted.identity))
        return mount

    def _pin_sub_path(self, mount: Mount, root: str | None, stack: ExitStack) -> Mount:
        if root is None:
            return mount
        volume, mounted = inspect_path(root), inspect_path(prepare_sub_path(root, mount.sub_path))
        if mounted.identity is None or not is_inside(mounted.real, volume.real):
            raise StartFailed(f"The subPath {mount.sub_path} of {mount.source} changes while it is mounted.")
        fd = _open_pinned(mounted.real, mounted.identity)
        stack.callback(os.close, fd)
        source = self._bind_mount(fd, stack)
        return replace(mount, kind="bind", source=source, sub_path="", root=mounted.real)

    def _can_bind_mount(self) -> bool:
        """Whether this process may bind mount, and the engine sees the result."""
        return self._same_mounts and os.geteuid() == 0

    def _bind_mount(self, fd: int, stack: ExitStack) -> str:
        bind_mount = BindMount(fd, self._pins / secrets.token_hex(8))
        stack.callback(bind_mount.release)
        return str(bind_mount.target)

    def _is_replaceable(self, path: str) -> bool:
        """Whether a container may have a folder above the path writable, and so rename the path."""
        host = self._host_paths()
        writable = [allowed.real for allowed in host.allowed if not allowed.read_only]
        if self.policy.workspace and host.workspace:
            writable.append(host.workspace)
        return any(path != folder and is_inside(path, folder) for folder in writable)

    def _check_mount(
        self, volume: PathInfo, mounted: PathInfo, *, manifest_path: str, writable: bool
    ) -> bool:
        """Checks one mount; returns whether it must be read-only."""
        decision = check_mount(
            volume,
            mounted,
            self.policy,
            self._host_paths(),
            manifest_path=manifest_path,
            writable=writable,
        )
        if decision.denial is not None:
            rule, message, remedy = decision.denial
            raise PolicyDenied(f"{message} ({rule}).", remedy=remedy)
        return decision.read_only

    def _host_paths(self) -> HostPaths:
        return resolve_host_paths(self._settings, self.policy, self._socket)


def _create_path(path: str, folder: bool, _step: Step) -> None:
    create_path(path, folder=folder)


def _open_pinned(path: str, identity: tuple[int, int]) -> int:
    """As :func:`open_pinned`; a file system that does not answer is an error."""
    try:
        return LOOKS.run(path, lambda _: open_pinned(path, identity), discard=os.close)
    except UnansweredError:
        raise HostPathUnansweredError(path) from None


def _describe_violation(violation: Violation, record: Record) -> str:
    """Returns a violation as text, with the manifest field that it comes from."""
    origin = locate_field(violation.step, violation.field, job=record.job, runtime=record.runtime)
    of_runtime = ""
    if origin.document == "runtime":
        of_runtime = f" of the runtime {record.runtime['metadata']['name']}"
    return f"{origin.path}{of_runtime}: {violation}"
