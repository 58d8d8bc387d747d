"""How long a vanished or half-written manifest is waited for before the folder is taken at its word.

Three things look like a removal or a fault and are mostly neither, so the objects of before stay in force for
a grace period:

* a file that does not parse, or has lost objects, and was changed less than a second ago (half-written):
  :data:`HALF_WRITTEN_GRACE`;
* a file that has just vanished (editors rename, ``git checkout`` removes and makes): :data:`VANISHED_GRACE`;
* all files of a folder that has been taken away and made again: :data:`REPLACED_FOLDER_GRACE`.

A folder that has lost all of its files at once (a checkout that failed, an unintended ``rm``) is not believed
until somebody confirms it (:data:`MASS_REMOVAL`); a last file alone may be removed like any other.

What can go wrong: clocks of network file systems run ahead, so a change "in the future" counts from when it
was first seen; a file changed twice within one tick of the file system's clock looks unchanged, so one that
was changed just before it was read (:data:`RACY_WINDOW`) is read once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from reconciler.sources.folder.manifest_files import ManifestFile, Signature
from reconciler.sources.folder.manifest_reader import FileContent, read_manifest

#: Seconds after its last change until a file that looks half-written is taken at its word.
HALF_WRITTEN_GRACE: Final = 1.0
#: Seconds until a vanished file's objects count as removed.
VANISHED_GRACE: Final = 0.5
#: The same after the whole folder was replaced: somebody may still be filling it.
REPLACED_FOLDER_GRACE: Final = 2.0
#: So many files or more that vanish at once, and leave none, have to be confirmed (``--allow-empty``).
MASS_REMOVAL: Final = 2
#: Seconds: a file changed this shortly before it was read may change again without looking different.
RACY_WINDOW: Final = 0.05


@dataclass(kw_only=True)
class TrackedFile:
    """A manifest file across scans.

    Attributes:
        content: the content in force; ``version`` counts its changes.
        signature: of the file when it was read last; None while it is not there.
        grace_until: while set, ``content`` is not what is on disk now: wait until then.
        reread: changed so shortly before it was read that it must be read again.
        seen_at: when this signature was first seen.
    """

    content: FileContent = field(default_factory=FileContent)
    version: int = 0
    signature: Signature | None = None
    grace_until: float | None = None
    reread: bool = False
    seen_at: float = 0.0

    @property
    def held(self) -> bool:
        """Whether a grace period keeps an earlier content in force."""
        return self.grace_until is not None

    def update(self, found: ManifestFile, now: float, *, grace: bool, refusal: str = "") -> None:
        """Read the file again if it may have changed; what looks half-written waits for its grace period.

        Args:
            found: as it was listed.
            now: seconds since the epoch.
            grace: whether there are grace periods.
            refusal: see :func:`.read_manifest`.
        """
        same = self.signature == found.signature
        if same and not (self.held or self.reread or self.content.unreadable):
            return
        content, signature = read_manifest(found, self.content, refusal=refusal)
        if not same or self.seen_at > now:  # or the clock was set back
            self.seen_at = now
        self.signature = signature
        changed_at = found.mtime if found.mtime <= now else self.seen_at
        self.reread = now - changed_at < RACY_WINDOW
        torn = signature != found.signature
        half_written = (
            torn or (content.faulty and not refusal) or bool(self.content.objects - content.objects)
        )
        if grace and half_written and not content.unreadable and now < changed_at + HALF_WRITTEN_GRACE:
            self.grace_until = changed_at + HALF_WRITTEN_GRACE
            return
        self.grace_until = None
        if content is not self.content and (not content.unreadable or content != self.content):
            self.content = content
            self.version += 1

    def is_removed(self, now: float, *, folder_replaced_at: float | None, grace: bool) -> bool:
        """Note that the file is not there, and return whether its objects count as removed now."""
        until = self.grace_until
        if (
            self.signature is not None
            or until is None
            or until > now + HALF_WRITTEN_GRACE + REPLACED_FOLDER_GRACE
        ):
            # It has just vanished; or the clock was set back since.
            self.signature = None
            until = now + VANISHED_GRACE
        if folder_replaced_at is not None and folder_replaced_at <= now:
            until = max(until, folder_replaced_at + REPLACED_FOLDER_GRACE)
        self.grace_until = until
        return not grace or now >= until or not self.content.documents
