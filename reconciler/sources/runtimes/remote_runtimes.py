"""Runtimes from elsewhere: ``--runtime-source`` with GitHub, a URL, a file or a folder.

Sources are read in order, and the first that has a runtime of a name wins; the folder of manifests goes
before all of them and what is built in after. One that cannot be had is a fault of its own and takes
nothing away from the others.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from reconciler.api.faults import Fault
from reconciler.errors import ReconcilerError
from reconciler.sources.folder.last_good import RUNTIMES
from reconciler.sources.folder.manifest_files import walk
from reconciler.sources.runtimes.http_cache import MAX_BYTES, Fetcher, FetchError

if TYPE_CHECKING:
    from reconciler.api import Document, Loaded

GITHUB_API: Final = "https://api.github.com"
GITHUB_RAW: Final = "https://raw.githubusercontent.com"
#: Where Kubeflow Trainer and its forks keep runtimes: used when a source names a repository only.
TRAINER_FOLDER: Final = "manifests/base/runtimes"
MAX_FILES: Final = 100
REASON: Final = "RuntimeSource"
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_GITHUB: Final = re.compile(
    r"github://(?P<owner>[\w.-]+)/(?P<repo>[\w.-]+)(?:/(?P<path>[^@]*))?(?:@(?P<ref>[\w./-]+))?"
)


@dataclass(frozen=True, kw_only=True)
class RemoteRuntimes:
    """What the sources have: runtimes in the sources' order, the first of a name first."""

    documents: tuple[Document, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GitHub:
    """Where GitHub is, and the login for it.

    Attributes:
        api: base URL of its API (of a GitHub Enterprise server, ``https://HOST/api/v3``).
        raw: base URL of its raw files.
        token: for private repositories, and against the limit of requests without a login.
    """

    api: str = GITHUB_API
    raw: str = GITHUB_RAW
    token: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> GitHub:
        """``GITHUB_API_URL`` and ``GITHUB_TOKEN`` as GitHub's own tools have them; also ``GH_TOKEN``."""
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
    """Reads runtimes from further sources.

    Args:
        sources: ``github://owner/repo[/path][@ref]``, ``http(s)://...``, ``file:///...`` or an absolute path.
        cache: folder of the cache; None for no cache.
        clock: seconds since the epoch.
        github: where GitHub is.
    """

    def __init__(
        self, sources: Sequence[str], *, cache: Path | None, clock: Callable[[], float], github: GitHub
    ) -> None:
        self._sources = tuple(sources)
        self._cache = cache
        self._clock = clock
        self._github = github

    def load(self, *, offline: bool = False) -> RemoteRuntimes:
        """All runtimes; may take a minute where a server is slow.

        Args:
            offline: ask no server, take what is in the cache: for a start that may not wait.
        """
        fetcher = Fetcher(self._cache, clock=self._clock, headers=self._github.headers, offline=offline)
        documents: list[Document] = []
        faults: list[Fault] = []
        for source in self._sources:
            try:
                for loaded in self._load(source, fetcher, faults):
                    documents += (doc for doc in loaded.documents if doc.kind in RUNTIMES and doc.valid)
                    faults += loaded.faults
                    faults += (f for doc in loaded.documents if doc.kind in RUNTIMES for f in doc.faults)
            except ReconcilerError as error:
                faults.append(_fault(source, str(error)))
        return RemoteRuntimes(documents=tuple(documents), faults=tuple(faults))

    def _load(self, source: str, fetcher: Fetcher, faults: list[Fault]) -> Iterator[Loaded]:
        scheme = source.partition("://")[0].lower() if "://" in source else ""
        if scheme == "github":
            yield from self._from_github(source, fetcher, faults)
        elif scheme in {"http", "https"}:
            yield self._fetch(source, source, fetcher, faults)
        elif scheme == "file" or source.startswith("/"):
            yield from _from_disk(_path_of(source))
        else:
            raise FetchError(
                f"{source!r} is no runtime source.",
                remedy="Give github://owner/repo/path@ref, http(s)://..., file:///path or an absolute path.",
            )

    def _from_github(self, source: str, fetcher: Fetcher, faults: list[Fault]) -> Iterator[Loaded]:
        parts = _GITHUB.fullmatch(source)
        if parts is None:
            raise FetchError(
                f"{source!r} is no GitHub source.", remedy="It is written github://owner/repo[/path][@ref]."
            )
        ref = parts["ref"] or "HEAD"
        place = f"{parts['owner']}/{parts['repo']}"
        listing = self._text(f"{self._github.api}/repos/{place}/git/trees/{quote(ref, safe='')}?recursive=1",
                             source, fetcher, faults)  # fmt: skip
        for path in _chosen(_paths(source, listing), (parts["path"] or "").strip("/"), source):
            url = f"{self._github.raw}/{place}/{quote(ref)}/{quote(path)}"
            yield self._fetch(url, source, fetcher, faults)

    def _fetch(self, url: str, source: str, fetcher: Fetcher, faults: list[Fault]) -> Loaded:
        from reconciler.api import load  # noqa: PLC0415  (builds pydantic models)

        return load(self._text(url, source, fetcher, faults), url)

    def _text(self, url: str, source: str, fetcher: Fetcher, faults: list[Fault]) -> bytes:
        found = fetcher.get(url)
        if found.stale:
            hours = (self._clock() - found.fetched_at) / 3600
            message = f"{found.stale} What was fetched {hours:.0f} hours ago is used ({url})"
            faults.append(_fault(source, message, warning=True))
        return found.body


def cache_folder(environ: Mapping[str, str]) -> Path:
    """``$XDG_CACHE_HOME/reconciler``, by default ``~/.cache/reconciler``."""
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "reconciler"


def remote_sources(sources: Sequence[str], *, clock: Callable[[], float]) -> RemoteSources:
    """The sources of the user's options, with this process's cache and GitHub login."""
    return RemoteSources(
        sources,
        cache=cache_folder(os.environ),
        clock=clock,
        github=GitHub.from_environment(os.environ),
    )


def _path_of(source: str) -> Path:
    if source.startswith("/"):
        return Path(source)
    parts = urlsplit(source)
    if parts.netloc not in {"", "localhost"}:
        raise FetchError(f"{source!r} names another machine.", remedy="Write file:///absolute/path.")
    return Path(unquote(parts.path))


def _from_disk(path: Path) -> Iterator[Loaded]:
    from reconciler.api import load  # noqa: PLC0415

    if path.is_dir():
        layout = walk(str(path))
        files = [Path(name) for name in layout.files]
        if not files:
            raise FetchError(f"{path} holds no YAML or JSON file.")
    else:
        files = [path]
    for file in files:
        try:
            with file.open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
        except OSError as error:
            raise FetchError(f"{file} cannot be read: {error.strerror}.") from error
        yield load(data, str(file))


def _paths(source: str, listing: bytes) -> list[str]:
    """The files of a repository out of GitHub's listing."""
    try:
        tree = json.loads(listing)["tree"]
        return [str(entry["path"]) for entry in tree if entry["type"] == "blob"]
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{source}: the listing of the repository cannot be read: {error!r}.") from error


def _chosen(paths: Sequence[str], wanted: str, source: str) -> list[str]:
    """Manifests under the path asked for; of a repository as a whole, those where the Trainer keeps them."""
    manifests = [path for path in paths if path.lower().endswith(_SUFFIXES)]
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
        reason=REASON,
    )
