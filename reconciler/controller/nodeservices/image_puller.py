"""Has images pulled, beside the work on jobs: a pull takes minutes, and no job may wait for another's.

One pull per image at a time, however many jobs want it; two images at once. A failed pull is tried again
after 10 s, 20 s, 40 s, ... at most 5 min, as the kubelet does it, but only when somebody still asks: a
deleted job's broken image is not asked for again.

What can go wrong: an image is there when asked and gone when the container is created (somebody pruned) -
the creator calls :meth:`ImagePuller.forget` and asks again; an engine that is away fails every pull - that
is said as it is, and tried again like the rest; a pull that hangs keeps its thread, and one more pull
that hangs keeps the other: the engine's client bounds how long it waits for a byte.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import structlog

from reconciler.controller.statemachine.image_state import ImageState
from reconciler.engines.host.image_references import registry_of
from reconciler.engines.protocol import Engine, PullProgress, RegistryAuth
from reconciler.errors import EngineError, EngineUnavailable

PullPolicy = Literal["IfNotPresent", "Always", "Never"]

FIRST_RETRY: Final = 10.0
LAST_RETRY: Final = 300.0
#: An image seen in the engine's store is believed to be there for this long, in seconds.
PRESENT_FOR: Final = 30.0
#: How often progress is told, in seconds.
TELL_EVERY: Final = 0.5
LOG_EVERY: Final = 5.0

_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class _Image:
    """What is known of one image; guarded by the puller's lock."""

    state: ImageState
    auth: RegistryAuth | None = None
    #: Until when the image is believed to be in the store.
    present_until: float = 0.0
    #: Tokens of Always: pulled for, served by the pull under way, waiting for the next one.
    pulled_for: set[str] = field(default_factory=set)
    serving: set[str] = field(default_factory=set)
    wanted_for: set[str] = field(default_factory=set)
    told_at: float = 0.0
    logged_at: float = 0.0


class ImagePuller:
    """Pulls images in threads of its own; every method may be called from any thread.

    Args:
        engine: that keeps the images.
        on_change: called with the image's reference when its state has changed, from a puller's thread;
            must return soon.
        clock: seconds since the epoch.
        width: pulls at a time.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        on_change: Callable[[str], None],
        clock: Callable[[], float],
        width: int = 2,
    ) -> None:
        self._engine = engine
        self._on_change = on_change
        self._clock = clock
        self._width = width
        self._images: dict[str, _Image] = {}
        self._queue: deque[str] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._changed = threading.Condition()

    def request(
        self,
        image: str,
        policy: PullPolicy,
        *,
        token: str = "",
        auth: RegistryAuth | None = None,
    ) -> ImageState:
        """Say that a container wants the image; call it on every pass, until it is present.

        Args:
            image: the reference, as in the manifest.
            policy: the container's ``imagePullPolicy``, else the user's option.
            token: under Always: what the pull is for, as in ``uid/attempt``; each token pulls once.
            auth: credentials for the registry; other ones than those that failed are tried at once.

        Raises:
            EngineUnavailable: the engine cannot be asked whether it has the image.
            EngineError: likewise.
        """
        with self._changed:
            known = self._known(image)
            decided = self._decided(known, policy, token, auth)
        if decided is not None:
            return decided
        there = policy != "Always" and self._engine.image_exists(image)
        with self._changed:
            return self._settle(self._known(image), policy, token, auth, there=there)

    def state(self, image: str) -> ImageState:
        """How it stands, asking nobody; ``absent`` for an image never requested."""
        with self._changed:
            known = self._images.get(image)
            return known.state if known else ImageState(image=image, status="absent")

    def forget(self, image: str) -> None:
        """The image turned out not to be there: the next request looks again."""
        with self._changed:
            known = self._images.get(image)
            if known and known.state.status == "present":
                del self._images[image]

    def close(self) -> None:
        """Start no more pulls; those under way are left to the engine."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()

    # -- under the lock

    def _known(self, image: str) -> _Image:
        return self._images.setdefault(image, _Image(state=ImageState(image=image, status="absent")))

    def _decided(
        self, known: _Image, policy: PullPolicy, token: str, auth: RegistryAuth | None
    ) -> ImageState | None:
        """The answer, where the engine need not be asked."""
        now = self._clock()
        state = known.state
        if state.status == "pulling":
            # A pull that began before this token was known may have missed a push: it serves those
            # that waited when it began, others get one more.
            if policy == "Always" and token not in known.serving:
                known.wanted_for.add(token)
            return state
        if state.status == "present" and now < known.present_until:
            if policy != "Always" or token in known.pulled_for:
                return state
            return None
        waiting = state.status == "failed" and _held(state, now)
        if waiting and policy == "Always" and auth == known.auth:
            return state
        return None

    def _settle(
        self, known: _Image, policy: PullPolicy, token: str, auth: RegistryAuth | None, *, there: bool
    ) -> ImageState:
        """The answer, now that the engine has been asked; starts a pull where one is due."""
        now = self._clock()
        state = known.state
        if state.status == "pulling":
            return state
        if there or (policy == "Always" and token in known.pulled_for and state.status == "present"):
            known.present_until = now + PRESENT_FOR
            known.state = ImageState(image=state.image, status="present")
            return known.state
        if policy == "Never":
            # Not kept: another job's failed pull of this image must keep its back-off.
            return ImageState(
                image=state.image,
                status="absent",
                message=never_message(state.image, self._engine.name),
                retry_at=now + FIRST_RETRY,
            )
        if state.status == "failed" and auth == known.auth and _held(state, now):
            return state
        if policy == "Always":
            known.wanted_for.add(token)
        known.auth = auth
        known.state = ImageState(
            image=state.image, status="pulling", message="waiting to be pulled", attempts=state.attempts
        )
        self._queue.append(state.image)
        self._hire()
        self._changed.notify()
        return known.state

    def _hire(self) -> None:
        if self._idle < len(self._queue) and len(self._threads) < self._width and not self._closed:
            thread = threading.Thread(
                target=self._work, name=f"image-puller-{len(self._threads)}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    # -- in the pullers' threads

    def _work(self) -> None:
        while (image := self._take()) is not None:
            self._pull(image)

    def _take(self) -> str | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._closed or bool(self._queue))
            self._idle -= 1
            return None if self._closed else self._queue.popleft()

    def _pull(self, image: str) -> None:
        with self._changed:
            known = self._known(image)
            known.serving, known.wanted_for = known.wanted_for, set()
            auth = known.auth
        log = _log.bind(image=image, registry=registry_of(image))
        log.info("pulling image")
        started = self._clock()
        try:
            self._engine.pull_image(image, auth=auth, progress=lambda seen: self._progress(image, seen))
        except EngineError as error:
            state = self._failed(image, error)
            log.warning("image pull failed", reason=state.message, attempts=state.attempts)
        except Exception as error:  # the worker's boundary: a dead thread would pull no more
            self._failed(image, EngineError(f"an error of this program: {error!r}"))
            log.exception("image pull failed")
        else:
            self._pulled(image)
            log.info("image pulled", seconds=round(self._clock() - started, 1))
        self._on_change(image)

    def _pulled(self, image: str) -> None:
        with self._changed:
            known = self._known(image)
            known.pulled_for |= known.serving
            known.serving = set()
            known.present_until = self._clock() + PRESENT_FOR
            if known.wanted_for:
                # Somebody asked under Always while this pull ran: once more, it costs a manifest request.
                known.state = ImageState(image=image, status="pulling", message="waiting to be pulled")
                self._queue.append(image)
                self._changed.notify()
            else:
                known.state = ImageState(image=image, status="present")

    def _failed(self, image: str, error: EngineError) -> ImageState:
        with self._changed:
            known = self._known(image)
            known.serving, known.wanted_for = set(), set()
            attempts = known.state.attempts + 1
            known.state = ImageState(
                image=image,
                status="failed",
                message=failure_message(image, error),
                retry_at=self._clock() + retry_delay(attempts),
                attempts=attempts,
            )
            return known.state

    def _progress(self, image: str, seen: PullProgress) -> None:
        now = self._clock()
        with self._changed:
            known = self._known(image)
            text = progress_message(seen)
            known.state = replace(known.state, progress=seen, message=text)
            tell = abs(now - known.told_at) >= TELL_EVERY
            log = abs(now - known.logged_at) >= LOG_EVERY
            known.told_at = now if tell else known.told_at
            known.logged_at = now if log else known.logged_at
        if log:
            _log.info("image pull progress", image=image, progress=text)
        if tell:
            self._on_change(image)


def _held(state: ImageState, now: float) -> bool:
    """Whether the next try is still to come; one farther off than any: the clock was set back."""
    return state.retry_at is not None and now < state.retry_at <= now + LAST_RETRY


def retry_delay(attempts: int) -> float:
    """Seconds until the next try after so many failures in a row: 10, 20, 40, ... 300."""
    return min(FIRST_RETRY * 2.0 ** min(attempts - 1, 30), LAST_RETRY)


def pull_policy(manifest: str, option: PullPolicy) -> PullPolicy:
    """The policy that counts: the container's ``imagePullPolicy``, else the user's option."""
    for policy in ("IfNotPresent", "Always", "Never"):
        if manifest == policy:
            return policy
    return option


def never_message(image: str, engine: str) -> str:
    """Image absent under Never: what is wrong and what to do."""
    tool = engine if engine in {"docker", "podman"} else "podman"
    return (
        f"Image {image} is not in the store of {engine}, and the pull policy is Never. "
        f"Load it (`{tool} pull {image}` or `{tool} load -i FILE.tar`), or set imagePullPolicy IfNotPresent."
    )


def failure_message(image: str, error: EngineError) -> str:
    """Why a pull failed, with image, registry and the reason given."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, EngineUnavailable):
        return f"Image {image} could not be pulled because the engine does not answer: {text}"
    registry = registry_of(image)
    where = f" from {registry}" if registry and registry not in text else ""
    return text if image in text and not where else f"Image {image} could not be pulled{where}: {text}"


def progress_message(seen: PullProgress) -> str:
    """``pulling, 12 of 340 MB``, or the engine's own words."""
    if seen.total > 0:
        return f"pulling, {seen.current / 1e6:.0f} of {seen.total / 1e6:.0f} MB"
    if seen.current > 0:
        return f"pulling, {seen.current / 1e6:.0f} MB so far"
    return seen.message or "pulling"
