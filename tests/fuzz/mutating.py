"""Random changes of an input: bytes, lines, and words that the readers know."""

from __future__ import annotations

import random
from collections.abc import Sequence

DICTIONARY: tuple[bytes, ...] = tuple(
    word.encode()
    for word in (
        "---\n", "...\n", "&a ", "*a", "<<: ", "? ", "- ", ": ", "{", "}", "[", "]", "!!int ", "!!binary ",
        "|\n", ">-\n", "\t", "\u2028", "\ufeff", "\x85", "#", "'", '"', "\\u0000", "\\ud83d", "~", "null",
        "yes", "0x", "1e9999", ".inf", ".nan", "-1", "9223372036854775808", "1_000", "0o17", "1:30:00",
        "2026-01-01", "apiVersion: v1\n", "kind: Secret\n", "kind: List\nitems:\n", "kind: TrainJob\n",
        "runtimePatches", "securityContext", "hostPath", "subPath", "numNodes: ", "metadata", "spec",
        "..", "/", "//", ".", "../..", "BASE", ">", "secret", "state", "specs", "data", "a>", "b>BASE/secret\n",
        "500m", "4Gi", "1e3", "KiB", "1h30m", "ms", "@sha256:", ":latest", "localhost:5000/", "*", "**", "?",
        "privileged", "hostPaths", "readOnly", "maximum", "ranges", "allow", "digest: required", "true",
    )
)  # fmt: skip


def mutate(seed: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """A changed copy of ``seed``."""
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(8):
            case 0 if data:
                data[place % len(data)] = chance.randrange(256)
            case 1:
                data[place:place] = chance.choice(DICTIONARY)
            case 2 if data:
                end = min(len(data), place + chance.randrange(1, 40))
                del data[place:end]
            case 3:
                piece = bytes(data[place : place + chance.randrange(1, 200)])
                data[place:place] = piece * chance.choice((1, 2, 8))
            case 4:
                other = chance.choice(others)
                start = chance.randrange(len(other) + 1)
                data[place:place] = other[start : start + chance.randrange(1, 300)]
            case 5:
                lines = bytes(data).split(b"\n")
                chance.shuffle(lines) if len(lines) < 6 else lines.insert(
                    chance.randrange(len(lines)), lines.pop(chance.randrange(len(lines)))
                )
                data = bytearray(b"\n".join(lines))
            case 6:
                data[place : place + chance.randrange(1, 8)] = chance.choice(DICTIONARY)
            case _:
                data[place:place] = bytes(chance.randrange(32, 127) for _ in range(chance.randrange(1, 5)))
        if len(data) > 20_000:
            del data[20_000:]
    return bytes(data)
