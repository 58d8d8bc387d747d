"""From planned to real: variables expanded, addresses and values of Secrets and ConfigMaps filled in.

Kubernetes' rules for a container: variables of ``envFrom`` first, then ``env`` in order, each of which
may refer to those before it; command and arguments refer to all of them. What a Secret, a ConfigMap or
``envFrom`` holds is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from reconciler.errors import PlanError
from reconciler.plan.expansion import expand, expand_references, references
from reconciler.plan.job_plan import (
    ContainerPlan,
    EnvFrom,
    JobPlan,
    KeyRef,
    MountPlan,
    PodPlan,
    VolumePlan,
)
from reconciler.plan.pod.volume_paths import file_name, inside
from reconciler.plan.progress_reporting import ADDRESS

#: A Secret's or ConfigMap's data by kind and name, in the job's namespace; None: there is none.
Lookup = Callable[[str, str], Mapping[str, bytes | str] | None]

#: What Kubernetes takes for the name of a variable; other keys of an ``envFrom`` are passed over.
_VARIABLE: Final = re.compile(r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What a container runs with.

    Attributes:
        command: entrypoint; None keeps the image's.
        args: command; None keeps the image's.
        env: by name.
        mounts: with ``sub_path`` expanded.
        secret_names: variables whose values came from Secrets, not to be shown.
    """

    command: tuple[str, ...] | None
    args: tuple[str, ...] | None
    env: Mapping[str, str] = field(repr=False)
    mounts: tuple[MountPlan, ...] = ()
    secret_names: frozenset[str] = frozenset()


class Values(Protocol):
    """Where the values of references come from."""

    def of_key(self, ref: KeyRef) -> bytes | None:
        """Value of a key; None when it is optional and not there.

        Raises:
            PlanError: it is not there and not optional.
        """

    def of_all(self, source: EnvFrom) -> Mapping[str, bytes]:
        """All keys; none when it is optional and not there.

        Raises:
            PlanError: it is not there and not optional.
        """


@dataclass(frozen=True)
class LookedUp:
    """The real values."""

    lookup: Lookup

    def of_key(self, ref: KeyRef) -> bytes | None:
        """Value of a key."""
        data = self.lookup(ref.kind, ref.name)
        if data is not None and ref.key in data:
            return _as_bytes(data[ref.key])
        if ref.optional:
            return None
        what = f"{ref.kind} {ref.name!r}"
        if data is None:
            raise PlanError(f"The {what} is not there.", path="spec", remedy=_remedy(ref.kind, ref.name))
        raise PlanError(
            f"The {what} has no key {ref.key!r}.",
            path="spec",
            remedy=f"It has {', '.join(sorted(data)) or 'none'}. Add the key, or make it optional.",
        )

    def of_all(self, source: EnvFrom) -> Mapping[str, bytes]:
        """All keys."""
        data = self.lookup(source.kind, source.name)
        if data is not None:
            return {key: _as_bytes(value) for key, value in data.items()}
        if source.optional:
            return {}
        raise PlanError(
            f"The {source.kind} {source.name!r} is not there.",
            path="spec",
            remedy=_remedy(source.kind, source.name),
        )


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
) -> Resolved:
    """What one container runs with.

    Args:
        plan: the job.
        pod: of the job.
        container: of the pod.
        addresses: as :func:`reconciler.plan.addresses.plan_addresses` gives them.
        lookup: data of Secrets and ConfigMaps.
        port: the rendezvous port, where it is not the plan's.
        attempt: restarts of the whole job so far.
        progress: host and port at which the daemon hears of the training's progress.

    Raises:
        PlanError: a Secret, ConfigMap or key is not there, or a ``subPathExpr`` leads out of its volume;
            the message names it and who wants it.
    """
    known = references(addresses, port or plan.port, attempt=attempt)
    if progress:
        known[ADDRESS] = progress
    try:
        return resolve_with(container, known=known, values=LookedUp(lookup))
    except PlanError as error:
        raise PlanError(
            f"The container {container.container!r} of {pod.name} cannot start: {error.message}",
            path=error.path,
            remedy=error.remedy,
        ) from error


def resolve_with(container: ContainerPlan, *, known: Mapping[str, str], values: Values) -> Resolved:
    """The same with references already looked up; for rendering, where secrets are masked."""
    env, secret = _environment(container, known, values)

    def words(text: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if text is None else tuple(expand(word, env, known) for word in text)

    return Resolved(
        command=words(container.command),
        args=words(container.args),
        env=env,
        mounts=tuple(_mount(mount, env, known) for mount in container.mounts),
        secret_names=frozenset(secret),
    )


def _mount(mount: MountPlan, env: Mapping[str, str], known: Mapping[str, str]) -> MountPlan:
    if not mount.expand:
        return mount
    path = expand(mount.sub_path, env, known)
    try:
        inside(path, what=f"the mount at {mount.path}")
    except PlanError as error:
        # What it expands to may be a secret.
        message = f"The subPathExpr {mount.sub_path!r} of the mount at {mount.path} leads out of the volume."
        raise PlanError(message, path=error.path, remedy=error.remedy) from None
    return replace(mount, sub_path=path, expand=False)


def _environment(
    container: ContainerPlan, known: Mapping[str, str], values: Values
) -> tuple[dict[str, str], set[str]]:
    env: dict[str, str] = {}
    secret: set[str] = set()
    for source in container.env_from:
        for key, value in values.of_all(source).items():
            name = source.prefix + key
            if _VARIABLE.match(name):
                env[name] = _as_text(value)
                (secret.add if source.kind == "Secret" else secret.discard)(name)
    for variable in container.env:
        if variable.ref is None:
            env[variable.name] = expand(variable.value, env, known)
            secret.discard(variable.name)
        elif (found := values.of_key(variable.ref)) is not None:
            env[variable.name] = _as_text(found)
            (secret.add if variable.ref.kind == "Secret" else secret.discard)(variable.name)
    return env, secret


def resolve_files(
    volume: VolumePlan, *, known: Mapping[str, str], lookup: Lookup
) -> dict[str, tuple[bytes, int]]:
    """Files of a ``files`` volume by path: content and mode.

    Args:
        volume: of kind ``files``.
        known: what references stand for (:func:`reconciler.plan.expansion.references`).
        lookup: data of Secrets and ConfigMaps.

    Raises:
        PlanError: a Secret, ConfigMap or key is not there.
    """
    return files_with(volume, known=known, values=LookedUp(lookup))


def files_with(
    volume: VolumePlan, *, known: Mapping[str, str], values: Values
) -> dict[str, tuple[bytes, int]]:
    """The same from any source of values; a later source of a path wins, as in projected volumes."""
    files: dict[str, tuple[bytes, int]] = {}
    for source in volume.all_of:
        for key, value in values.of_all(source).items():
            files[file_name(key, what=f"the {source.kind} {source.name!r}")] = (value, volume.default_mode)
    for file in volume.files:
        content = (
            expand_references(file.content, known).encode() if file.ref is None else values.of_key(file.ref)
        )
        if content is not None:
            files[file.path] = (content, volume.default_mode if file.mode is None else file.mode)
    return files


def _remedy(kind: str, name: str) -> str:
    return f"Add a {kind} document of the name {name!r} to the folder of manifests, in the job's namespace."


def _as_bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _as_text(value: bytes) -> str:
    return value.decode("utf-8", errors="surrogateescape")
