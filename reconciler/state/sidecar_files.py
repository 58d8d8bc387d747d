"""Where status sidecars are, and what is in one: ``<stem>.status.yaml`` beside the manifest.

With ``--status-dir`` they are in the same tree below that folder. Sidecars may be lost, edited by hand or
written by another version: what is missing or does not parse reads as nothing.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from reconciler.common.host_looks import LOOKS, Step
from reconciler.common.path_presence import is_absent
from reconciler.common.unicode_text import is_unicode
from reconciler.common.yaml_errors import YAML_VALUE_ERRORS, YAML_VALUE_MESSAGE
from reconciler.errors import StateError
from reconciler.names import API_VERSION
from reconciler.state.atomic_files import read_if_exists

SIDECAR_SUFFIX: Final = ".status.yaml"
MANIFEST_SUFFIXES: Final = (".yaml", ".yml", ".json")
#: Bytes of a file's name, and of a whole path without its closing zero, that Linux and macOS accept.
MAX_NAME_BYTES: Final = 255
MAX_PATH_BYTES: Final = 4095 if sys.platform == "linux" else 1023
#: Letters of a path, and of the status folder's: with no more the two are not too long together.
_SHORT: Final = 200


def sidecar_path(manifest: Path, *, specs: Path, status_dir: Path | None) -> Path:
    """The sidecar of a manifest."""
    name = manifest.name
    if name.lower().endswith(MANIFEST_SUFFIXES):
        name = name.rpartition(".")[0]
    folder = manifest.parent
    if status_dir is not None:
        folder = status_dir / folder.relative_to(specs) if folder.is_relative_to(specs) else status_dir
    return folder / f"{name}{SIDECAR_SUFFIX}"


def naming_problem(sidecar: Path) -> str:
    """Why no file can have this sidecar's path, in a sentence with a remedy; "" where one can."""
    name = os.fsencode(sidecar.name)
    path = os.fsencode(os.path.abspath(sidecar))  # noqa: PTH100  (links keep their names)
    if (over := len(name) - MAX_NAME_BYTES) > 0:
        what = f"its name would have {len(name)} bytes, and {MAX_NAME_BYTES} are possible"
        remedy = f"shorten the manifest's name by {over} bytes"
    elif (over := len(path) - MAX_PATH_BYTES) > 0:
        what = f"its path would have {len(path)} bytes, and {MAX_PATH_BYTES} are possible"
        remedy = f"shorten the names of the file and of the folders it is in by {over} bytes"
    else:
        return ""
    return f"no status file (*{SIDECAR_SUFFIX}) can be written for it: {what}: {remedy}"


def status_file_problem(manifest: str, *, specs: Path, status_dir: Path | None) -> str:
    """Why a manifest can have no sidecar, see :func:`naming_problem`; quick for the many that can."""
    name = os.fsencode(manifest[manifest.rfind("/") + 1 :])
    short = len(manifest) <= _SHORT and (status_dir is None or len(str(status_dir)) <= _SHORT)
    if short and len(name) + len(SIDECAR_SUFFIX) <= MAX_NAME_BYTES:
        return ""
    path = Path(manifest).absolute()
    return naming_problem(sidecar_path(path, specs=specs.absolute(), status_dir=status_dir))


def sidecar_root(specs: Path, status_dir: Path | None) -> Path:
    """The folder below which sidecars are."""
    return status_dir or specs


def list_sidecars(root: Path, *, follow_links: bool = True) -> Iterator[Path]:
    """Paths of all sidecars below a folder, sorted; symlinked folders are followed once, if at all.

    What cannot be listed, or does not answer, is left out.
    """
    seen: set[tuple[int, int]] = set()
    pending = [str(root)]
    while pending:
        folder = pending.pop()
        try:
            identity, folders, links, files = LOOKS.run(folder, partial(_list_folder, folder))
        except OSError:
            continue
        if identity in seen:
            continue
        seen.add(identity)
        yield from (Path(folder, name) for name in files)
        if not follow_links:
            links = []
        for link, found in zip(links, LOOKS.resolve(links), strict=True):
            if found.facts is not None and stat.S_ISDIR(found.facts.st_mode):
                folders.append(link)
        pending += sorted(folders, reverse=True)


def _list_folder(folder: str, _step: Step) -> tuple[tuple[int, int], list[str], list[str], list[str]]:
    """The identity of a folder, the paths of the folders and links in it, and the names of its sidecars."""
    here = os.stat(folder)  # noqa: PTH116  (text, as of scandir)
    folders: list[str] = []
    links: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or not is_unicode(entry.name):
                continue  # what has a name that is no text is no sidecar, nor a folder with manifests
            # A folder in a sidecar's place is reported by whoever reads it.
            if entry.name.endswith(SIDECAR_SUFFIX):
                files.append(entry.name)
            if entry.is_symlink():
                links.append(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
    return (here.st_dev, here.st_ino), folders, links, files


def orphaned_sidecars(*, specs: Path, status_dir: Path | None) -> list[Path]:
    """Sidecars written by this project whose manifest is certainly not there any more."""
    root = sidecar_root(specs, status_dir)
    orphans = []
    for path in sorted(list_sidecars(root, follow_links=False)):
        stem = specs / path.relative_to(root).parent / path.name.removesuffix(SIDECAR_SUFFIX)
        # A link counts, wherever it points to: that may not answer.
        if not all(is_absent(f"{stem}{ending}") for ending in ("", *MANIFEST_SUFFIXES)):
            continue
        try:
            documents = load_documents(path)
        except StateError:
            continue
        if documents and all(d.get("apiVersion") == API_VERSION and "status" in d for d in documents):
            orphans.append(path)
    return orphans


def load_documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a sidecar; none when it is not there or does not parse.

    Raises:
        StateError: it is there and cannot be read.
    """
    data = read_if_exists(path, follow_links=False)
    if data is None:
        return []
    try:
        return parse_documents(data)
    except ValueError:
        return []


def parse_documents(data: bytes) -> list[dict[str, Any]]:
    """The documents in a sidecar's text; times stay text, as in JSON.

    Raises:
        ValueError: it is no YAML.
    """
    import yaml  # noqa: PLC0415  (not for --help)

    try:
        return [d for d in yaml.load_all(data, Loader=_loader()) if isinstance(d, dict)]
    except yaml.YAMLError as error:
        raise ValueError(str(error).replace("\n", " ")) from None
    except YAML_VALUE_ERRORS:
        raise ValueError(YAML_VALUE_MESSAGE) from None


def document_key(document: Mapping[str, Any]) -> str:
    """``Kind/namespace/name`` of a sidecar's document."""
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return f"{document.get('kind', '')}/{metadata.get('namespace', '')}/{metadata.get('name', '')}"


@cache
def _loader() -> Any:
    """The safe loader of libyaml where it is installed, without the resolver for timestamps."""
    import yaml  # noqa: PLC0415

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in base.yaml_implicit_resolvers.items()
    }
    return type("SidecarLoader", (base,), {"yaml_implicit_resolvers": resolvers})
