"""Progress of a pull: the stream that Docker, and Podman's compatible call, answer with.

Each line tells of one layer; a failure is a line too, after the status 200 has been sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.engines.http import error_mapping
from reconciler.engines.http.streams import RawStream, json_lines
from reconciler.engines.protocol import PullProgress
from reconciler.errors import EngineError, ImageError


def follow_pull(image: str, stream: RawStream, progress: Callable[[PullProgress], None]) -> None:
    """Read the stream to its end, telling of progress whenever it changes.

    Raises:
        ImageError: the pull failed.
    """
    layers: dict[str, tuple[int, int]] = {}
    last: PullProgress | None = None
    try:
        for item in json_lines(stream):
            error = item.get("error")
            if error:
                raise error_mapping.pull_failure(image, str(error))
            detail = item.get("progressDetail") or {}
            layer = str(item.get("id") or "")
            if detail.get("total") and "extract" not in str(item.get("status", "")).lower():
                layers[layer] = (int(detail.get("current") or 0), int(detail["total"]))
            elif layer in layers and "complete" in str(item.get("status", "")).lower():
                layers[layer] = (layers[layer][1], layers[layer][1])
            now = PullProgress(
                current=sum(current for current, _ in layers.values()),
                total=sum(total for _, total in layers.values()),
                message=_words(item, layer),
            )
            if now != last:
                progress(now)
                last = now
    except EngineError as broken:
        if isinstance(broken, ImageError):
            raise
        raise error_mapping.pull_failure(image, broken.message) from broken


def _words(item: Mapping[str, Any], layer: str) -> str:
    """What the engine says; ``stream`` is libpod's own call's, which tells no bytes."""
    said = str(item.get("status") or item.get("stream") or "").strip()
    return " ".join(part for part in (said, layer) if part)
