"""A bare copy of the repository, with one commit at a time and no history.

Answers which commit the remote's ref names now, and which files the commit holds. Nothing here writes files
of the repository: git's own checkout would obey what the repository says of links, filters and line ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from reconciler.config.git_urls import is_commit
from reconciler.sources.git.git_command import GitCommand
from reconciler.sources.git.git_errors import GitError, explain_failure

#: The commit fetched last; the commit in force is kept by a ref of its own.
FETCHED_REF: Final = "refs/reconciler/fetched"
CURRENT_REF: Final = "refs/reconciler/in-force"
#: Entries of a tree that are read; a tree can be built to have more than any disk holds.
MAX_ENTRIES: Final = 200_000
#: Packs after which the mirror is repacked.
MAX_PACKS: Final = 12
_REGULAR: Final = frozenset({"100644", "100755", "100664"})
_LINK: Final = "120000"


@dataclass(frozen=True, kw_only=True)
class RemoteRef:
    """A ref of the remote, and the object it points to.

    Attributes:
        name: the full ref, or the commit where one was asked for.
        object: its id; of a tag object where the ref is an annotated tag.
    """

    name: str
    object: str


@dataclass(frozen=True, kw_only=True)
class TreeFile:
    """A file of a commit; ``link``: a symlink, whose content is its target."""

    path: str
    object: str
    size: int
    link: bool = False


class GitMirror:
    """See the module.

    Args:
        git: runs git in the mirror's folder.
    """

    def __init__(self, git: GitCommand) -> None:
        self.git = git

    def prepare(self) -> None:
        """Make the mirror if needed; a broken one is made again, because its content is only a copy."""
        folder = self.git.folder
        if folder.is_dir():
            status, _, _ = self.git.attempt("rev-parse", "--git-dir")
            if status == 0:
                return
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.git.run("init", "--quiet", "--bare", "--template=")

    def resolve(self, ref: str) -> RemoteRef:
        """Ask the remote where its ref points now; a branch comes before a tag of the same name.

        Raises:
            GitError: the remote cannot be asked, or has no such ref.
        """
        if is_commit(ref):
            return RemoteRef(name=ref, object=ref)
        exact = ref == "HEAD" or ref.startswith("refs/")
        names = (ref,) if exact else (f"refs/heads/{ref}", f"refs/tags/{ref}")
        listed = self.git.run("ls-remote", "--quiet", "--symref", "--", self.git.location, *names)
        found = dict(_parse_refs(listed.decode("utf-8", "replace")))
        for name in names:
            if name in found:
                target, digest = found[name]
                return RemoteRef(name=target, object=digest)
        what = "no default branch" if ref == "HEAD" else f"no branch and no tag {ref}"
        raise GitError(
            f"{self.git.location}: it has {what}.",
            reason="RefNotFound",
            remedy="Name one that is there with --ref; a commit has all 40 digits.",
        )

    def fetch(self, ref: RemoteRef) -> str:
        """Fetch the commit that the ref points to, without its history, and return it.

        Raises:
            GitError: it cannot be fetched, or is no commit.
        """
        options = ("--quiet", "--no-tags", "--depth=1", "--force", "--no-write-fetch-head")
        refspec = f"+{ref.name}:{FETCHED_REF}"
        try:
            self.git.run("fetch", *options, "--no-recurse-submodules", "--", self.git.location, refspec)
        except GitError:
            # A git that was ended leaves what it had received, and would leave it again at the next sync.
            for path in (self.git.folder / "objects" / "pack").glob("tmp_*"):
                path.unlink(missing_ok=True)
            raise
        status, stdout, _ = self.git.attempt("rev-parse", "--verify", "--quiet", f"{FETCHED_REF}^{{commit}}")
        if status != 0:
            raise GitError(f"{self.git.location}: {ref.name} is no commit.", reason="RefNotFound")
        return stdout.decode().strip()

    def has(self, commit: str) -> bool:
        """Whether the commit has been fetched before."""
        status, _, _ = self.git.attempt("cat-file", "-e", f"{commit}^{{commit}}")
        return status == 0

    def list_files(self, commit: str, path: str) -> Iterator[TreeFile]:
        """List every file and link below a folder of the commit, without submodules.

        Raises:
            GitError: the folder is not there, or it holds too much.
        """
        tree = f"{commit}:{path}"
        status, stdout, _ = self.git.attempt("cat-file", "-t", tree)
        if status != 0 or stdout.strip() != b"tree":
            raise GitError(
                f"{self.git.location}: the commit {commit[:12]} has no folder {path or '/'}.",
                reason="PathNotFound",
                remedy="Name one that is there with --path; with --allow-empty, one that has gone is empty.",
            )
        with self.git.pipes("ls-tree", "-r", "-z", "--long", tree) as process:
            for number, entry in enumerate(_read_entries(process)):
                if number >= MAX_ENTRIES:
                    raise GitError(
                        f"{self.git.location}: {path or 'the repository'} holds more than "
                        f"{MAX_ENTRIES} files.",
                        reason="TooLarge",
                        remedy="Name a folder that holds only manifests with --path.",
                    )
                file = _parse_entry(entry)
                if file is not None:
                    yield file

    def read_files(self, files: Sequence[TreeFile]) -> Iterator[tuple[TreeFile, bytes]]:
        """Read the files' content."""
        with self.git.pipes("cat-file", "--batch") as process:
            assert process.stdin is not None  # noqa: S101  (both are pipes)
            assert process.stdout is not None  # noqa: S101
            for file in files:
                process.stdin.write(f"{file.object}\n".encode())
                process.stdin.flush()
                head = process.stdout.readline().split()
                if len(head) != 3 or head[1] != b"blob":
                    raise EOFError(file.path)
                size = int(head[2])
                content = process.stdout.read(size + 1)
                if len(content) != size + 1:
                    raise EOFError(file.path)
                yield file, content[:-1]

    def retain_only(self, commit: str) -> None:
        """Keep this commit, which is in force now; whatever else was fetched may be removed."""
        self.git.run("update-ref", CURRENT_REF, commit)
        packs = self.git.folder / "objects" / "pack"
        if sum(1 for _ in packs.glob("*.pack")) > MAX_PACKS:
            # What cannot be repacked now is repacked next time.
            with suppress(GitError):
                self.git.run("reflog", "expire", "--expire=now", "--all")
                self.git.run("gc", "--quiet", "--prune=now")


def _parse_refs(text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each ref of ``ls-remote --symref`` with its target (HEAD's is a branch) and the object there."""
    target = ""
    for line in text.splitlines():
        value, tab, name = line.partition("\t")
        if value.startswith("ref: refs/"):
            target = value.removeprefix("ref: ")
        elif tab and is_commit(value):
            yield name, (target or name, value)
            target = ""


def _read_entries(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert process.stdout is not None  # noqa: S101  (it is a pipe)
    rest = b""
    while block := process.stdout.read1(65536):  # type: ignore[attr-defined]  # of a buffered pipe
        *entries, rest = (rest + block).split(b"\0")
        yield from entries
    if process.wait() != 0:
        raise explain_failure(
            "fatal: the tree cannot be read", status=process.returncode, location="the mirror"
        )


def _parse_entry(entry: bytes) -> TreeFile | None:
    """An entry of ``ls-tree --long``: mode, type, object and size, a tab, the path."""
    facts, _, name = entry.partition(b"\t")
    mode, kind, digest, size = facts.decode().split()
    if kind != "blob" or (mode not in _REGULAR and mode != _LINK):
        return None
    # A name that is no UTF-8 is checked out as it is: the folder's reader reports it.
    return TreeFile(path=os.fsdecode(name), object=digest, size=int(size), link=mode == _LINK)
