"""Progress of an image pull, from the stream that Docker, and Podman's compatible call, answer with.

Each line is about one layer; a failure is a line too, after the status 200 has been sent.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.engines.http import error_mapping
from reconciler.engines.http.calls.answer_shapes import WrongAnswer
from reconciler.engines.http.calls.object_answers import PULL, PullAnswer
from reconciler.engines.http.response_streams import RawStream, iter_lines
from reconciler.engines.protocol import PullProgress
from reconciler.errors import EngineError, ImageError


def follow_pull(
    image: str, stream: RawStream, progress: Callable[[PullProgress], None], *, engine: str
) -> None:
    """Reads the stream to its end and calls ``progress`` whenever it changes.

    A line that cannot be read fails the pull once it has ended: it may have been the one that tells of the
    failure, and what was pulled until then is there when it is tried again.

    Raises:
        ImageError: the pull failed.
    """
    layers: dict[str, tuple[int, int]] = {}
    last: PullProgress | None = None
    wrong = "the engine said nothing about it"
    try:
        for number, line in enumerate(iter_lines(stream)):
            try:
                item = PULL.read(line, engine=engine, action=f"pull the image {image}")
            except WrongAnswer as error:
                wrong = f"a line about it cannot be understood: {error.problem}"
                continue
            wrong = "" if number == 0 else wrong
            if failure := item.get("error"):
                raise error_mapping.pull_error(image, failure)
            layer = item.get("id") or ""
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
    if wrong:
        raise error_mapping.pull_error(image, wrong)


def _update(layers: dict[str, tuple[int, int]], layer: str, item: PullAnswer) -> None:
    """Sets a layer's bytes so far and in total; extracting counts no bytes."""
    detail = item.get("progressDetail") or {}
    status = (item.get("status") or "").lower()
    if (total := detail.get("total")) and "extract" not in status:
        layers[layer] = (detail.get("current") or 0, total)
    elif layer in layers and "complete" in status:
        layers[layer] = (layers[layer][1], layers[layer][1])


def _message(item: PullAnswer, layer: str) -> str:
    """Returns the engine's message; libpod's own call has it as ``stream``, and no bytes."""
    text = (item.get("status") or item.get("stream") or "").strip()
    return " ".join(part for part in (text, layer) if part)
