"""Checks of images: room for them, those the folder names, and a pull when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.cli.doctor.check import Check, fail, ok, warn
from reconciler.cli.doctor.folder_checks import check_space
from reconciler.cli.job_lookup import read_snapshot
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings
from reconciler.engines.protocol import Engine, EngineInfo
from reconciler.errors import EngineError, ReconcilerError

#: Missing images that are named; more make no readable line.
_MAX_NAMED: Final = 5


def image_checks(engine: Engine, info: EngineInfo, settings: Settings, machine: Machine) -> Iterator[Check]:
    """Checks the room in the engine's store, and which of the folder's images are in it."""
    root = str(info.details.get("storage_root") or "")
    if root and info.host.startswith("unix://") and machine.exists(root):
        yield check_space("disk for images", machine.path(root), machine)
    yield _check_folder_images(engine, settings)


def _check_folder_images(engine: Engine, settings: Settings) -> Check:
    name, images = "images", list_folder_images(settings)
    missing = [image for image in images if not engine.image_exists(image)]
    detail = f"{len(images) - len(missing)} of the {len(images)} that the folder names are there"
    if not missing:
        return ok(name, detail)
    some = ", ".join(missing[:_MAX_NAMED]) + (", ..." if len(missing) > _MAX_NAMED else "")
    if settings.pull_policy == "Never":
        remedy = f"{engine.name} pull {missing[0]}; nothing is pulled under --pull-policy Never."
        return warn(name, f"{detail}; missing: {some}", remedy)
    return ok(name, f"{detail}; pulled when needed: {some} (--pull-test {missing[0]} tries it now)")


def list_folder_images(settings: Settings) -> list[str]:
    """Returns every image that a job or a runtime of the folder names; none when the folder can't be read."""
    try:
        catalog = read_snapshot(settings).catalog
    except ReconcilerError:
        return []
    documents = [entry.document for entry in catalog.jobs.values()] + list(catalog.runtimes.values())
    return sorted({image for document in documents if document is not None for image in _find(document.raw)})


def _find(value: Any) -> Iterator[str]:
    """Every value of a key ``image``, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "image" and isinstance(inner, str):
                yield inner
            else:
                yield from _find(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _find(inner)


def check_pull(engine: Engine, image: str) -> Check:
    """Pulls an image as a job would; it stays, as after a job."""
    try:
        engine.pull_image(image, auth=None, progress=lambda _: None)
    except EngineError as error:
        return fail("pull", error.message, error.remedy or "Check the name.")
    return ok("pull", f"{image} was pulled")
