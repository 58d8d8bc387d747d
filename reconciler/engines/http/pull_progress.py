"""Progress of an image pull, from the stream that Docker, and Podman's compatible call, answer with.

Each line is about one layer; a failure is a line too, after the status 200 has been sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.engines.http import error_mapping
from reconciler.engines.http.response_streams import RawStream, iter_json_lines
from reconciler.engines.protocol import PullProgress
from reconciler.errors import EngineError, ImageError


def follow_pull(image: str, stream: RawStream, progress: Callable[[PullProgress], None]) -> None:
    """Reads the stream to its end and calls ``progress`` whenever it changes.

    Raises:
        ImageError: the pull failed.
    """
    layers: dict[str, tuple[int, int]] = {}
    last: PullProgress | None = None
    try:
        for item in iter_json_lines(stream):
            if error := item.get("error"):
                raise error_mapping.pull_error(image, str(error))
            layer = str(item.get("id") or "")
            _update(layers, layer, item)
            now = PullProgress(
                current=sum(current for current, _ in layers.values()),
                total=sum(total for _, total in layers.values()),
                message=_message(item, layer),
            )
            if now != last:
                progress(now)
                last = now
    except ImageError:
        raise
    except EngineError as broken:
        raise error_mapping.pull_error(image, broken.message) from broken


def _update(layers: dict[str, tuple[int, int]], layer: str, item: Mapping[str, Any]) -> None:
    """Sets a layer's bytes so far and in total; extracting counts no bytes."""
    detail = item.get("progressDetail") or {}
    status = str(item.get("status", "")).lower()
    if detail.get("total") and "extract" not in status:
        layers[layer] = (int(detail.get("current") or 0), int(detail["total"]))
    elif layer in layers and "complete" in status:
        layers[layer] = (layers[layer][1], layers[layer][1])


def _message(item: Mapping[str, Any], layer: str) -> str:
    """Returns the engine's message; libpod's own call has it as ``stream``, and no bytes."""
    text = str(item.get("status") or item.get("stream") or "").strip()
    return " ".join(part for part in (text, layer) if part)
