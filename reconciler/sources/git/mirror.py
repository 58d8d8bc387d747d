"""A bare copy of a repository, as far as it is followed: one commit at a time, without history.

Answers three questions: which commit does the remote's ref name now, is that commit signed by somebody who
may, and which files does it hold. Nothing here writes files of the repository: git's own checkout would
obey what the repository says of links, filters and line ends.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler.config.git_urls import GitUrl, is_commit
from reconciler.sources.git.git_command import Git, GitError, explain

#: What was fetched last; the commit in force is kept by a ref of its own.
FETCHED: Final = "refs/reconciler/fetched"
IN_FORCE: Final = "refs/reconciler/in-force"
#: Entries of a tree that are looked at; a tree can be built to have more than any disk holds.
MAX_ENTRIES: Final = 200_000
#: Packs after which the mirror is put together anew.
MAX_PACKS: Final = 12
_REGULAR: Final = frozenset({"100644", "100755", "100664"})
_LINK: Final = "120000"


@dataclass(frozen=True, kw_only=True)
class Tip:
    """Where the ref stands.

    Attributes:
        name: the full ref, or the commit where one was asked for.
        object: what it names; a tag object where the tag has one.
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
        url: of the remote.
        git: how git is run, in the mirror's folder.
    """

    def __init__(self, url: GitUrl, git: Git) -> None:
        self._url = url
        self._git = git

    def prepare(self) -> None:
        """Have the mirror; one that is broken is made anew, its content is only a copy."""
        folder = self._git.folder
        if folder.is_dir():
            status, _, _ = self._git.attempt("rev-parse", "--git-dir")
            if status == 0:
                return
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._git.run("init", "--quiet", "--bare", "--template=")

    def tip(self, ref: str) -> Tip:
        """Where the remote's ref stands now; a branch comes before a tag of the same name.

        Raises:
            GitError: the remote cannot be asked, or has no such ref.
        """
        if is_commit(ref):
            return Tip(name=ref, object=ref)
        exact = ref == "HEAD" or ref.startswith("refs/")
        names = (ref,) if exact else (f"refs/heads/{ref}", f"refs/tags/{ref}")
        listed = self._git.run("ls-remote", "--quiet", "--symref", "--", self._url.location, *names)
        found = dict(_listing(listed.decode("utf-8", "replace")))
        for name in names:
            if name in found:
                target, digest = found[name]
                return Tip(name=target, object=digest)
        what = "no default branch" if ref == "HEAD" else f"no branch and no tag {ref}"
        raise GitError(
            f"{self._url}: it has {what}.",
            reason="RefNotFound",
            remedy="Name one that is there with --ref; a commit has all 40 digits.",
        )

    def fetch(self, tip: Tip) -> str:
        """Get what the ref names, and nothing of its history; returns the commit.

        Raises:
            GitError: it cannot be had, or is no commit.
        """
        options = ("--quiet", "--no-tags", "--depth=1", "--force", "--no-write-fetch-head")
        refspec = f"+{tip.name}:{FETCHED}"
        try:
            self._git.run("fetch", *options, "--no-recurse-submodules", "--", self._url.location, refspec)
        except GitError:
            # A git that was ended leaves what it had received, and would leave it again at the next look.
            for path in (self._git.folder / "objects" / "pack").glob("tmp_*"):
                path.unlink(missing_ok=True)
            raise
        status, printed, _ = self._git.attempt("rev-parse", "--verify", "--quiet", f"{FETCHED}^{{commit}}")
        if status != 0:
            raise GitError(f"{self._url}: {tip.name} is no commit.", reason="RefNotFound")
        return printed.decode().strip()

    def has(self, commit: str) -> bool:
        """Whether the commit has been fetched before."""
        status, _, _ = self._git.attempt("cat-file", "-e", f"{commit}^{{commit}}")
        return status == 0

    def verify(self, commit: str, *, signers: Path | None, keyring: Path | None) -> str:
        """Who has signed the commit.

        Args:
            commit: that was fetched.
            signers: ssh keys that count; None: none do.
            keyring: folder for gpg that holds the OpenPGP keys that count; None: none do.

        Raises:
            GitError: nobody, or somebody who may not.
        """
        configuration = dict(self._git.configuration)
        environment = dict(self._git.environment)
        if signers is not None:
            configuration["gpg.ssh.allowedSignersFile"] = str(signers)
        if keyring is not None:
            configuration["gpg.program"] = "gpg"
            environment["GNUPGHOME"] = str(keyring)
        git = replace(self._git, configuration=configuration, environment=environment)
        status, _, said = git.attempt("verify-commit", commit)
        if status != 0:
            lines = [line.strip() for line in said.splitlines() if line.strip()]
            words = "; ".join(lines) or "it has no signature"
            raise GitError(
                f"{self._url}: the commit {commit[:12]} is not signed by an allowed signer: {words[:300]}.",
                reason="VerificationFailed",
                remedy="Sign it (git commit -S) with a key of --git-allowed-signers or --git-gpg-keys.",
            )
        return next((line.strip() for line in said.splitlines() if "Good " in line), "signed")[:200]

    def files(self, commit: str, path: str) -> Iterator[TreeFile]:
        """Every file and link below a folder of the commit; submodules are none.

        Raises:
            GitError: the folder is not there, or it holds too much.
        """
        tree = f"{commit}:{path}"
        status, printed, _ = self._git.attempt("cat-file", "-t", tree)
        if status != 0 or printed.strip() != b"tree":
            raise GitError(
                f"{self._url}: the commit {commit[:12]} has no folder {path or '/'}.",
                reason="PathNotFound",
                remedy="Name one that is there with --path; with --allow-empty, one that has gone is empty.",
            )
        with self._git.talk("ls-tree", "-r", "-z", "--long", tree) as process:
            for number, entry in enumerate(_entries(process)):
                if number >= MAX_ENTRIES:
                    raise GitError(
                        f"{self._url}: {path or 'the repository'} holds more than {MAX_ENTRIES} files.",
                        reason="TooLarge",
                        remedy="Name a folder that holds only manifests with --path.",
                    )
                file = _tree_file(entry)
                if file is not None:
                    yield file

    def contents(self, files: Sequence[TreeFile]) -> Iterator[tuple[TreeFile, bytes]]:
        """The files with what is in them."""
        with self._git.talk("cat-file", "--batch") as process:
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

    def keep(self, commit: str) -> None:
        """This commit is in force: whatever else was fetched may go."""
        self._git.run("update-ref", IN_FORCE, commit)
        packs = self._git.folder / "objects" / "pack"
        if sum(1 for _ in packs.glob("*.pack")) > MAX_PACKS:
            # What cannot be tidied now is tidied next time.
            with suppress(GitError):
                self._git.run("reflog", "expire", "--expire=now", "--all")
                self._git.run("gc", "--quiet", "--prune=now")


def _listing(text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each ref with what it stands for (HEAD for a branch) and the object there."""
    target = ""
    for line in text.splitlines():
        value, tab, name = line.partition("\t")
        if value.startswith("ref: refs/"):
            target = value.removeprefix("ref: ")
        elif tab and is_commit(value):
            yield name, (target or name, value)
            target = ""


def _entries(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert process.stdout is not None  # noqa: S101  (it is a pipe)
    rest = b""
    while block := process.stdout.read1(65536):  # type: ignore[attr-defined]  # of a buffered pipe
        *entries, rest = (rest + block).split(b"\0")
        yield from entries
    if process.wait() != 0:
        raise explain("fatal: the tree cannot be read", status=process.returncode, location="the mirror")


def _tree_file(entry: bytes) -> TreeFile | None:
    """An entry of ``ls-tree --long``: mode, type, object and size, a tab, the path."""
    facts, _, name = entry.partition(b"\t")
    mode, kind, digest, size = facts.decode().split()
    if kind != "blob" or (mode not in _REGULAR and mode != _LINK):
        return None
    try:
        path = name.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return TreeFile(path=path, object=digest, size=int(size), link=mode == _LINK)
