"""From a plan to what an engine is given: variables expanded, references and values filled in.

Kubernetes' rules for a container: variables of ``envFrom`` come first, then ``env`` in order, where each
variable may refer to those before it; command and arguments may refer to all of them. Values from Secrets
and ConfigMaps are not expanded. What can go wrong: a Secret, a ConfigMap or a key of one is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.errors import PlanError
from reconciler.plan.expansion import expand, expand_references, reference_values
from reconciler.plan.job_plan import (
    ContainerPlan,
    EnvFrom,
    JobPlan,
    KeyRef,
    MountPlan,
    PodPlan,
    VolumePlan,
)
from reconciler.plan.pod.volume_paths import validate_key, validate_path

#: Data of a Secret or ConfigMap by kind and name, in the job's namespace; None: it does not exist.
Lookup = Callable[[str, str], Mapping[str, bytes | str] | None]

#: What Kubernetes accepts as the name of a variable; other keys of an ``envFrom`` are skipped.
_VARIABLE: Final = re.compile(r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")


@dataclass(frozen=True, kw_only=True)
class ResolvedContainer:
    """What a container runs with.

    Attributes:
        command: entrypoint; None keeps the image's.
        args: command; None keeps the image's.
        env: by name.
        mounts: with ``sub_path`` expanded.
    """

    command: tuple[str, ...] | None
    args: tuple[str, ...] | None
    env: Mapping[str, str] = field(repr=False)
    mounts: tuple[MountPlan, ...] = ()


@dataclass(frozen=True)
class LookupValues:
    """Values of Secrets and ConfigMaps, from a :data:`Lookup`."""

    lookup: Lookup

    def get(self, ref: KeyRef) -> bytes | None:
        """Returns the value of a key; None when it is optional and missing.

        Raises:
            PlanError: it is missing and not optional.
        """
        data = self.lookup(ref.kind, ref.name)
        if data is not None and ref.key in data:
            return _as_bytes(data[ref.key])
        if ref.optional:
            return None
        if data is None:
            raise _missing(ref.kind, ref.name)
        raise PlanError(
            f"The {ref.kind} {ref.name!r} has no key {ref.key!r}.",
            path="spec",
            remedy=f"It has {', '.join(sorted(data)) or 'none'}. Add the key, or make it optional.",
        )

    def get_all(self, source: EnvFrom) -> Mapping[str, bytes]:
        """Returns the values of all keys; none when the source is optional and missing.

        Raises:
            PlanError: the source is missing and not optional.
        """
        data = self.lookup(source.kind, source.name)
        if data is not None:
            return {key: _as_bytes(value) for key, value in data.items()}
        if source.optional:
            return {}
        raise _missing(source.kind, source.name)


def _missing(kind: str, name: str) -> PlanError:
    where = "to the folder of manifests, in the job's namespace"
    remedy = f"Add a {kind} document of the name {name!r} {where}."
    return PlanError(f"The {kind} {name!r} is not there.", path="spec", remedy=remedy)


def resolve_container(
    plan: JobPlan,
    pod: PodPlan,
    container: ContainerPlan,
    *,
    addresses: Mapping[tuple[str, int], str],
    lookup: Lookup,
    port: int | None = None,
    attempt: int = 0,
    progress: str = "",
) -> ResolvedContainer:
    """Resolves a container.

    Args:
        plan: the job.
        pod: of the job.
        container: of the pod.
        addresses: from :func:`reconciler.plan.addresses.plan_addresses`.
        lookup: data of Secrets and ConfigMaps.
        port: the rendezvous port, where it is not the plan's.
        attempt: number of restarts of the whole job.
        progress: host and port of the daemon's progress endpoint.

    Raises:
        PlanError: a Secret, ConfigMap or key is missing, or a ``subPathExpr`` leads out of its volume; the
            message names the container and what is missing.
    """
    references = reference_values(addresses, port or plan.port, attempt=attempt, progress=progress)
    try:
        return expand_container(container, references=references, values=LookupValues(lookup))
    except PlanError as error:
        raise PlanError(
            f"The container {container.container!r} of {pod.name} cannot start: {error.message}",
            path=error.path,
            remedy=error.remedy,
        ) from error


def expand_container(
    container: ContainerPlan, *, references: Mapping[str, str], values: LookupValues
) -> ResolvedContainer:
    """Resolves a container with values that may be masked, as for ``plan -o json``."""
    env = _environment(container, references, values)

    def words(text: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if text is None else tuple(expand(word, env, references) for word in text)

    return ResolvedContainer(
        command=words(container.command),
        args=words(container.args),
        env=env,
        mounts=tuple(_expand_mount(mount, env, references) for mount in container.mounts),
    )


def _expand_mount(mount: MountPlan, env: Mapping[str, str], references: Mapping[str, str]) -> MountPlan:
    if not mount.expand:
        return mount
    path = expand(mount.sub_path, env, references)
    try:
        validate_path(path, what=f"the mount at {mount.path}")
    except PlanError as error:
        # The expanded path may hold a secret: the message has the expression instead.
        message = f"The subPathExpr {mount.sub_path!r} of the mount at {mount.path} leads out of the volume."
        raise PlanError(message, path=error.path, remedy=error.remedy) from None
    return replace(mount, sub_path=path, expand=False)


def _environment(
    container: ContainerPlan, references: Mapping[str, str], values: LookupValues
) -> dict[str, str]:
    env: dict[str, str] = {}
    for source in container.env_from:
        for key, value in values.get_all(source).items():
            if _VARIABLE.match(source.prefix + key):
                env[source.prefix + key] = _as_text(value)
    for variable in container.env:
        if variable.ref is None:
            env[variable.name] = expand(variable.value, env, references)
        elif (found := values.get(variable.ref)) is not None:
            env[variable.name] = _as_text(found)
    return env


def resolve_files(
    volume: VolumePlan, *, references: Mapping[str, str], values: LookupValues
) -> dict[str, tuple[bytes, int]]:
    """Resolves the files of a volume of kind ``files``: content and mode by path.

    A later source of a path wins, as in projected volumes.

    Raises:
        PlanError: a Secret, ConfigMap or key is missing.
    """
    files: dict[str, tuple[bytes, int]] = {}
    for source in volume.all_keys_of:
        for key, value in values.get_all(source).items():
            files[validate_key(key, what=f"the {source.kind} {source.name!r}")] = (value, volume.default_mode)
    for file in volume.files:
        if file.ref is None:
            content: bytes | None = expand_references(file.content, references).encode()
        else:
            content = values.get(file.ref)
        if content is not None:
            files[file.path] = (content, volume.default_mode if file.mode is None else file.mode)
    return files


def _as_bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _as_text(value: bytes) -> str:
    return value.decode("utf-8", errors="surrogateescape")
