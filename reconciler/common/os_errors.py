"""What the system has refused, in a sentence, with what to do about it where that is known."""

from __future__ import annotations

import errno
from typing import Final

#: What to do about EMFILE and ENFILE.
OUT_OF_DESCRIPTORS: Final = "Allow more open files: ulimit -n, or LimitNOFILE= of the service."
_REMEDIES: Final = {
    errno.EMFILE: OUT_OF_DESCRIPTORS,
    errno.ENFILE: OUT_OF_DESCRIPTORS,
    errno.ENOSPC: "Free space on that file system.",
    errno.EDQUOT: "The disk quota is used up: free space.",
}


def describe_os_error(error: OSError) -> str:
    """What was refused, of which file where the error names one, and the remedy."""
    reason = reason_of(error) or type(error).__name__
    text = f"{error.filename}: {reason}." if error.filename else f"{reason}."
    return f"{text} {_REMEDIES.get(error.errno or 0, '')}".rstrip()


def reason_of(error: Exception) -> str:
    """What the system says of an error, without number and path; of another error its own text."""
    return getattr(error, "strerror", None) or str(error)


def describe_fault(error: Exception) -> str:
    """What went wrong, as a sentence: the error's own, or what the system refused."""
    return describe_os_error(error) if isinstance(error, OSError) else str(error)


def is_out_of_descriptors(error: BaseException) -> bool:
    """Whether an error, or what caused it, is that no further file or socket may be open."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.errno in {errno.EMFILE, errno.ENFILE}:
            return True
        inner = inner.__cause__ or inner.__context__
    return False
