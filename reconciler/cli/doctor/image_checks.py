"""Checks of ``reconciler doctor`` for images: room, those the folder names, and a pull when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.doctor.check import Check, Machine
from reconciler.cli.doctor.folder_checks import space_check

if TYPE_CHECKING:
    from reconciler.config.settings import Settings
    from reconciler.engines.protocol import Engine, EngineInfo

_NAMED: Final = 5


def image_checks(engine: Engine, info: EngineInfo, settings: Settings, machine: Machine) -> Iterator[Check]:
    """Room in the store, and which of the folder's images are in it."""
    root = str(info.details.get("storage_root") or "")
    if root and info.host.startswith("unix://") and machine.exists(root):
        yield space_check("disk for images", machine.path(root), machine)
    yield _named(engine, settings)


def _named(engine: Engine, settings: Settings) -> Check:
    name = "images"
    wanted = folder_images(settings)
    missing = [image for image in wanted if not engine.image_exists(image)]
    detail = f"{len(wanted) - len(missing)} of the {len(wanted)} that the folder names are there"
    if not missing:
        return Check(name=name, status="ok", detail=detail)
    some = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
    if settings.pull_policy == "Never":
        remedy = f"{engine.name} pull {missing[0]}; nothing is pulled under --pull-policy Never."
        return Check(name=name, status="warn", detail=f"{detail}; missing: {some}", remedy=remedy)
    detail += f"; pulled when needed: {some} (--pull-test {missing[0]} tries it now)"
    return Check(name=name, status="ok", detail=detail)


def folder_images(settings: Settings) -> list[str]:
    """Every image that a job or a runtime of the folder names; none when the folder can't be read."""
    from reconciler.cli.job_lookup import take  # noqa: PLC0415
    from reconciler.errors import ReconcilerError  # noqa: PLC0415

    try:
        catalog = take(settings).catalog
    except ReconcilerError:
        return []
    documents = [entry.document for entry in catalog.jobs.values()] + list(catalog.runtimes.values())
    return sorted(
        {image for document in documents if document is not None for image in _images(document.raw)}
    )


def _images(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "image" and isinstance(inner, str):
                yield inner
            else:
                yield from _images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _images(inner)


def pull_check(engine: Engine, image: str) -> Check:
    """Pull an image as a job would; it stays, as after a job."""
    from reconciler.errors import EngineError  # noqa: PLC0415

    name = "pull"
    try:
        engine.pull_image(image, auth=None, progress=lambda _: None)
    except EngineError as error:
        return Check(name=name, status="fail", detail=error.message, remedy=error.remedy or "Check the name.")
    return Check(name=name, status="ok", detail=f"{image} was pulled")
