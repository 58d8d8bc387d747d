"""Loads runtimes from remote sources: ``--runtime-source`` with GitHub, a URL, a file or a folder.

Sources are read in order, and the first that has a runtime of a name wins; the folder of manifests comes
before all of them and the built-in runtimes after. A source that cannot be loaded is a fault of its own and
takes nothing away from the others.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote, unquote, urlsplit

from reconciler.api.faults import Fault
from reconciler.common.host_looks import LOOKS, Step, UnansweredError
from reconciler.common.os_errors import describe_os_error
from reconciler.common.regular_files import LARGE_FILE, read_regular_file
from reconciler.common.unicode_text import decode_json
from reconciler.common.xdg_folders import xdg_folder
from reconciler.errors import ReconcilerError
from reconciler.sources.folder.catalog import RUNTIME_KINDS
from reconciler.sources.folder.manifest_files import list_manifest_files
from reconciler.sources.folder.manifest_reader import unreadable_fault
from reconciler.sources.runtimes.http_cache import CachedFetcher, FetchedFile, FetchError
from reconciler.state.sidecar_files import MANIFEST_SUFFIXES

if TYPE_CHECKING:
    from reconciler.api import Document, LoadedFile

GITHUB_API: Final = "https://api.github.com"
GITHUB_RAW: Final = "https://raw.githubusercontent.com"
#: Folder in which Kubeflow Trainer and its forks keep runtimes: used when a source names a repository only.
TRAINER_FOLDER: Final = "manifests/base/runtimes"
MAX_FILES: Final = 100
#: Seconds for which files of GitHub are used without asking: without a login it answers 60 times an hour.
GITHUB_TTL: Final = 24 * 3600.0
#: ``Fault.reason`` of a source that cannot be loaded.
RUNTIME_SOURCE: Final = "RuntimeSource"
_GITHUB: Final = re.compile(
    r"github://(?P<owner>[\w.-]+)/(?P<repo>[\w.-]+)(?:/(?P<path>[^@]*))?(?:@(?P<ref>[\w./-]+))?"
)


@dataclass(frozen=True, kw_only=True)
class LoadedRuntimes:
    """Runtimes in the order of their sources, the first of a name first, and the faults of the sources."""

    documents: tuple[Document, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GitHub:
    """The address of GitHub, and the login for it.

    Attributes:
        api: base URL of its API (of a GitHub Enterprise server, ``https://HOST/api/v3``).
        raw: base URL of its raw files.
        token: for private repositories, and for more requests than without a login.
    """

    api: str = GITHUB_API
    raw: str = GITHUB_RAW
    token: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> GitHub:
        """Read ``GITHUB_API_URL`` and ``GITHUB_TOKEN``, as GitHub's own tools do; also ``GH_TOKEN``."""
        api = environ.get("GITHUB_API_URL", "").rstrip("/") or GITHUB_API
        raw = GITHUB_RAW if api == GITHUB_API else f"{api.removesuffix('/api/v3')}/raw"
        return cls(api=api, raw=raw, token=environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN", ""))

    @property
    def headers(self) -> Mapping[str, Mapping[str, str]]:
        """The login, for these hosts only."""
        if not self.token:
            return {}
        login = {"Authorization": f"Bearer {self.token}"}
        return {urlsplit(base).netloc: login for base in (self.api, self.raw)}


class RemoteSources:
    """Loads runtimes from remote sources.

    Args:
        sources: ``github://owner/repo[/path][@ref]``, ``http(s)://...``, ``file:///...`` or an absolute path.
        cache: folder of the cache.
        clock: seconds since the epoch.
        github: the address of GitHub.
    """

    def __init__(
        self, sources: Sequence[str], *, cache: Path, clock: Callable[[], float], github: GitHub
    ) -> None:
        self._sources = tuple(sources)
        self._cache = cache
        self._clock = clock
        self._github = github

    @classmethod
    def from_environment(cls, sources: Sequence[str], *, clock: Callable[[], float]) -> Self:
        """Sources with GitHub's login, and the cache in ``$XDG_CACHE_HOME/reconciler``."""
        return cls(
            sources,
            cache=xdg_folder("XDG_CACHE_HOME", ".cache") / "reconciler",
            clock=clock,
            github=GitHub.from_environment(os.environ),
        )

    def load(self, *, offline: bool = False) -> LoadedRuntimes:
        """Load all runtimes; may take a minute where a server is slow.

        Args:
            offline: ask no server, use only the cache: for a start that may not wait.
        """
        fetcher = CachedFetcher(self._cache, clock=self._clock, headers=self._github.headers, offline=offline)
        documents: list[Document] = []
        faults: list[Fault] = []
        for source in self._sources:
            try:
                for loaded in self._load(source, fetcher, faults):
                    documents += (doc for doc in loaded.documents if doc.kind in RUNTIME_KINDS and doc.valid)
                    faults += loaded.faults
                    faults += (f for doc in loaded.documents if doc.kind in RUNTIME_KINDS for f in doc.faults)
            except ReconcilerError as error:
                faults.append(_fault(source, str(error)))
            except OSError as error:
                faults.append(_fault(source, describe_os_error(error)))
            except Exception as error:  # noqa: BLE001  (the boundary of one source: the others are loaded)
                faults.append(_fault(source, f"An error of this program, please report it: {error!r}."))
        return LoadedRuntimes(documents=tuple(documents), faults=tuple(faults))

    def _load(self, source: str, fetcher: CachedFetcher, faults: list[Fault]) -> Iterator[LoadedFile]:
        scheme = source.partition("://")[0].lower() if "://" in source else ""
        if scheme == "github":
            yield from self._from_github(source, fetcher, faults)
        elif scheme in {"http", "https"}:
            loaded = self._fetch(source, source, fetcher, faults, ttl=0)
            if not loaded.faults and all(doc.kind not in RUNTIME_KINDS for doc in loaded.documents):
                raise FetchError(f"{source} holds no TrainingRuntime and no ClusterTrainingRuntime.")
            yield loaded
        elif scheme == "file" or source.startswith("/"):
            yield from _from_disk(_path_of(source))
        else:
            raise FetchError(
                f"{source!r} is no runtime source.",
                remedy="Give github://owner/repo/path@ref, http(s)://..., file:///path or an absolute path.",
            )

    def _from_github(self, source: str, fetcher: CachedFetcher, faults: list[Fault]) -> Iterator[LoadedFile]:
        parts = _GITHUB.fullmatch(source)
        if parts is None:
            raise FetchError(
                f"{source!r} is no GitHub source.", remedy="It is written github://owner/repo[/path][@ref]."
            )
        ref = parts["ref"] or "HEAD"
        place = f"{parts['owner']}/{parts['repo']}"
        url = f"{self._github.api}/repos/{place}/git/trees/{quote(ref, safe='')}?recursive=1"
        fetched = fetcher.get(url, ttl=GITHUB_TTL, check=_check_listing)
        _report_stale(fetched, source, faults)
        for path in _select(_parse_listing(source, fetched.body), (parts["path"] or "").strip("/"), source):
            url = f"{self._github.raw}/{place}/{quote(ref)}/{quote(path)}"
            yield self._fetch(url, source, fetcher, faults, ttl=GITHUB_TTL)

    def _fetch(
        self, url: str, source: str, fetcher: CachedFetcher, faults: list[Fault], *, ttl: float
    ) -> LoadedFile:
        from reconciler.api import load  # noqa: PLC0415  (builds pydantic models)

        fetched = fetcher.get(url, ttl=ttl, check=_check_runtimes)
        _report_stale(fetched, source, faults)
        return load(fetched.body, f"{url} (copy of {_minute(fetched)})" if fetched.is_copy else url)


def _report_stale(fetched: FetchedFile, source: str, faults: list[Fault]) -> None:
    if fetched.stale:
        message = f"{fetched.stale} The copy of {_minute(fetched)} is used ({fetched.url})"
        faults.append(_fault(source, message, warning=True))


def _minute(fetched: FetchedFile) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(fetched.fetched_at))


def _check_runtimes(body: bytes) -> str:
    """Returns the first fault of a file of manifests; "" where it can be used."""
    from reconciler.api import load  # noqa: PLC0415  (builds pydantic models)

    loaded = load(body, "")
    faults = [*loaded.faults, *(fault for document in loaded.documents for fault in document.faults)]
    first = next((fault for fault in faults if fault.severity == "error"), None)
    if first is None:
        return ""
    place = f"line {first.line}: " if first.line else ""
    return f"{place}{first.path + ': ' if first.path else ''}{first.message}"


def _check_listing(body: bytes) -> str:
    try:
        _parse_listing("", body)
    except FetchError as error:
        return error.message
    return ""


def _path_of(source: str) -> Path:
    if source.startswith("/"):
        return Path(source)
    parts = urlsplit(source)
    if parts.netloc not in {"", "localhost"}:
        raise FetchError(f"{source!r} names another machine.", remedy="Write file:///absolute/path.")
    return Path(unquote(parts.path))


def _from_disk(path: Path) -> Iterator[LoadedFile]:
    from reconciler.api import LoadedFile, load  # noqa: PLC0415

    found = LOOKS.resolve([str(path)])[0]
    if isinstance(found.error, UnansweredError):
        raise FetchError(f"{path} cannot be read: {found.error.strerror}.")
    if found.facts is not None and stat.S_ISDIR(found.facts.st_mode):
        listing = list_manifest_files(str(path))
        if listing.unreadable:
            name, reason = next(iter(listing.unreadable.items()))
            yield LoadedFile(faults=(unreadable_fault(name, reason),))
        files = [Path(name) for name in listing.files]
        if not files:
            raise FetchError(f"{path} holds no YAML or JSON file.")
    else:
        files = [path]
    for file in files:
        try:
            data = LOOKS.run(str(file), partial(_read, file))
        except OSError as error:
            raise FetchError(f"{file} cannot be read: {error.strerror}.") from error
        yield load(data, str(file))


def _read(file: Path, _step: Step) -> bytes:
    return read_regular_file(file, limit=LARGE_FILE)


def _parse_listing(source: str, listing: bytes) -> list[str]:
    """The files of a repository, from GitHub's listing."""
    try:
        tree = decode_json(listing)["tree"]
        return [str(entry["path"]) for entry in tree if entry["type"] == "blob"]
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{source}: the listing of the repository cannot be read: {error!r}.") from error


def _select(paths: Sequence[str], wanted: str, source: str) -> list[str]:
    """The manifests under a path; of a whole repository, those in the Trainer's folder for runtimes."""
    manifests = [path for path in paths if path.lower().endswith(MANIFEST_SUFFIXES)]
    if not wanted and any(path.startswith(f"{TRAINER_FOLDER}/") for path in manifests):
        wanted = TRAINER_FOLDER
    chosen = [path for path in manifests if not wanted or path == wanted or path.startswith(f"{wanted}/")]
    if not chosen:
        raise FetchError(f"{source} has no YAML or JSON file there.")
    if len(chosen) > MAX_FILES:
        raise FetchError(
            f"{source} has {len(chosen)} files; more than {MAX_FILES} are not read.",
            remedy="Name the folder of the runtimes: github://owner/repo/path.",
        )
    return [path for path in chosen if Path(path).name not in {"kustomization.yaml", "kustomization.yml"}]


def _fault(source: str, message: str, *, warning: bool = False) -> Fault:
    return Fault(
        file=source,
        line=0,
        path="",
        message=message,
        severity="warning" if warning else "error",
        reason=RUNTIME_SOURCE,
    )
