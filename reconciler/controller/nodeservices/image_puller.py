"""Pulls images beside the passes over jobs: a pull takes minutes, and no job may wait for another's.

One pull per image at a time, however many jobs want it; two images at once. A failed pull is tried again
after 10 s, 20 s, 40 s, ... at most 5 min, as the kubelet does it, but only when a job still requests the
image: a deleted job's broken image is not pulled again.

What can go wrong: an image is present when requested and gone when the container is created (somebody
pruned): the creator calls :meth:`ImagePuller.forget` and requests it again. An engine that is away fails
every pull; the state says so, and the pull is tried again like any other. A pull that hangs keeps its thread,
and a second one that hangs keeps the other: the engine's client bounds how long it waits for a byte.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from reconciler.config.settings import PullPolicy
from reconciler.controller.statemachine.observation import ImageState
from reconciler.engines.host.image_references import registry_of
from reconciler.engines.protocol import Engine, PullProgress, RegistryAuth
from reconciler.errors import EngineError, EngineUnavailable

#: How many pulls run at a time.
PULLS: Final = 2
FIRST_RETRY: Final = 10.0
LAST_RETRY: Final = 300.0
#: For how many seconds an image seen in the engine's store counts as present without another look.
PRESENT_FOR: Final = 30.0
#: Least seconds between two progress notifications, and between two log events, of a pull.
NOTIFY_INTERVAL: Final = 0.5
LOG_INTERVAL: Final = 5.0

_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class _TrackedImage:
    """What is known of one image; guarded by the puller's lock."""

    state: ImageState
    auth: RegistryAuth | None = None
    #: Until when the image counts as present.
    present_until: float = 0.0
    #: Tokens of policy Always: pulled for, served by the running pull, waiting for the next one.
    pulled_tokens: set[str] = field(default_factory=set)
    serving_tokens: set[str] = field(default_factory=set)
    waiting_tokens: set[str] = field(default_factory=set)
    notified_at: float = 0.0
    logged_at: float = 0.0


class ImagePuller:
    """Pulls images, each in a thread of its own; every method may be called from any thread.

    Args:
        engine: the engine whose store gets the images.
        on_change: called with the image's reference when its state has changed, from a pull's thread;
            must return soon.
        clock: seconds since the epoch.
    """

    def __init__(
        self, engine: Engine, *, on_change: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._on_change = on_change
        self._clock = clock
        self._images: dict[str, _TrackedImage] = {}
        self._slots = threading.Semaphore(PULLS)
        self._closed = False
        self._lock = threading.Lock()

    def request(
        self,
        image: str,
        policy: PullPolicy,
        *,
        token: str = "",
        auth: RegistryAuth | None = None,
    ) -> ImageState:
        """Requests an image for a container; call it on every pass, until the image is present.

        Args:
            image: the reference, as in the manifest.
            policy: from :func:`effective_pull_policy`.
            token: under Always: what the pull is for, as in ``uid/attempt``; each token pulls once.
            auth: credentials for the registry; ones other than those that failed are tried at once.

        Raises:
            EngineUnavailable: the engine cannot be asked whether it has the image.
            EngineError: likewise.
        """
        with self._lock:
            known = self._answer_from_memory(self._track(image), policy, token, auth)
        if known is not None:
            return known
        exists = policy != "Always" and self._engine.image_exists(image)
        with self._lock:
            return self._answer_or_pull(self._track(image), policy, token, auth, exists=exists)

    def state(self, image: str) -> ImageState:
        """Returns the last known state, asking nobody; ``absent`` for an image never requested."""
        with self._lock:
            tracked = self._images.get(image)
            return tracked.state if tracked else ImageState(image=image, status="absent")

    def forget(self, image: str) -> None:
        """Takes note that a present image has disappeared: the next request asks the engine again."""
        with self._lock:
            tracked = self._images.get(image)
            if tracked and tracked.state.status == "present":
                del self._images[image]

    def close(self) -> None:
        """Starts no more pulls; running ones are left to the engine."""
        self._closed = True

    # -- under the lock

    def _track(self, image: str) -> _TrackedImage:
        return self._images.setdefault(image, _TrackedImage(state=ImageState(image=image, status="absent")))

    def _answer_from_memory(
        self, tracked: _TrackedImage, policy: PullPolicy, token: str, auth: RegistryAuth | None
    ) -> ImageState | None:
        """Returns the answer where the engine need not be asked."""
        now = self._clock()
        state = tracked.state
        if state.status == "pulling":
            # A pull that began before this token was known may have missed a push: it serves those
            # that waited when it began, others get one more.
            if policy == "Always" and token not in tracked.serving_tokens:
                tracked.waiting_tokens.add(token)
            return state
        if state.status == "present" and now < tracked.present_until:
            return state if policy != "Always" or token in tracked.pulled_tokens else None
        if policy == "Always" and auth == tracked.auth and _backs_off(state, now):
            return state
        return None

    def _answer_or_pull(
        self,
        tracked: _TrackedImage,
        policy: PullPolicy,
        token: str,
        auth: RegistryAuth | None,
        *,
        exists: bool,
    ) -> ImageState:
        """Returns the answer after the engine has been asked; queues a pull where one is due."""
        now = self._clock()
        state = tracked.state
        if state.status == "pulling":
            return state
        if exists or (policy == "Always" and token in tracked.pulled_tokens and state.status == "present"):
            tracked.present_until = now + PRESENT_FOR
            tracked.state = ImageState(image=state.image, status="present")
            return tracked.state
        if policy == "Never":
            # Not kept: another job's failed pull of this image must keep its back-off.
            return ImageState(
                image=state.image,
                status="absent",
                message=never_message(state.image, self._engine.name),
                retry_at=now + FIRST_RETRY,
            )
        if auth == tracked.auth and _backs_off(state, now):
            return state
        if policy == "Always":
            tracked.waiting_tokens.add(token)
        tracked.auth = auth
        self._enqueue(tracked, attempts=state.attempts)
        return tracked.state

    def _enqueue(self, tracked: _TrackedImage, *, attempts: int = 0) -> None:
        image = tracked.state.image
        tracked.state = ImageState(
            image=image, status="pulling", message="waiting to be pulled", attempts=attempts
        )
        try:
            threading.Thread(target=self._run, args=(image,), name="image-pull", daemon=True).start()
        except RuntimeError as error:
            # The limit of threads or processes: it would be "pulling" for ever.
            tracked.state = self._failed_state(
                image, attempts + 1, EngineError(f"No thread starts: {error}.")
            )

    # -- in a pull's thread

    def _run(self, image: str) -> None:
        with self._slots:
            if not self._closed:
                self._pull(image)

    def _pull(self, image: str) -> None:
        with self._lock:
            tracked = self._track(image)
            tracked.serving_tokens, tracked.waiting_tokens = tracked.waiting_tokens, set()
            auth = tracked.auth
        log = _log.bind(image=image, registry=registry_of(image))
        log.info("image pull started")
        started = self._clock()
        try:
            self._engine.pull_image(
                image, auth=auth, progress=lambda seen: self._report_progress(image, seen)
            )
        except EngineError as error:
            state = self._set_failed(image, error)
            log.warning("image pull failed", reason=state.message, attempts=state.attempts)
        except Exception as error:  # the thread's boundary: the image would be "pulling" for ever
            self._set_failed(image, EngineError(f"an error of this program: {error!r}"))
            log.exception("image pull failed")
        else:
            self._set_pulled(image)
            log.info("image pulled", seconds=round(self._clock() - started, 1))
        self._on_change(image)

    def _set_pulled(self, image: str) -> None:
        with self._lock:
            tracked = self._track(image)
            tracked.pulled_tokens |= tracked.serving_tokens
            tracked.serving_tokens = set()
            tracked.present_until = self._clock() + PRESENT_FOR
            if tracked.waiting_tokens:
                # Requested under Always while this pull ran: one more pull costs a manifest request.
                self._enqueue(tracked)
            else:
                tracked.state = ImageState(image=image, status="present")

    def _set_failed(self, image: str, error: EngineError) -> ImageState:
        with self._lock:
            tracked = self._track(image)
            tracked.serving_tokens, tracked.waiting_tokens = set(), set()
            tracked.state = self._failed_state(image, tracked.state.attempts + 1, error)
            return tracked.state

    def _failed_state(self, image: str, attempts: int, error: EngineError) -> ImageState:
        return ImageState(
            image=image,
            status="failed",
            message=failure_message(image, error),
            retry_at=self._clock() + retry_delay(attempts),
            attempts=attempts,
        )

    def _report_progress(self, image: str, seen: PullProgress) -> None:
        now = self._clock()
        with self._lock:
            tracked = self._track(image)
            text = progress_message(seen)
            tracked.state = replace(tracked.state, message=text)
            notify = abs(now - tracked.notified_at) >= NOTIFY_INTERVAL
            log = abs(now - tracked.logged_at) >= LOG_INTERVAL
            tracked.notified_at = now if notify else tracked.notified_at
            tracked.logged_at = now if log else tracked.logged_at
        if log:
            _log.info("image pull progress", image=image, progress=text)
        if notify:
            self._on_change(image)


def _backs_off(state: ImageState, now: float) -> bool:
    """Whether the next try of a failed pull is still to come.

    A time farther off than any back-off does not count: the clock was set back.
    """
    return (
        state.status == "failed" and state.retry_at is not None and now < state.retry_at <= now + LAST_RETRY
    )


def retry_delay(attempts: int) -> float:
    """Returns the seconds until the next try after so many failures in a row: 10, 20, 40, ... 300."""
    return min(FIRST_RETRY * 2.0 ** min(attempts - 1, 30), LAST_RETRY)


def effective_pull_policy(manifest: str, option: PullPolicy) -> PullPolicy:
    """Returns the container's ``imagePullPolicy``, else the user's option."""
    for policy in ("IfNotPresent", "Always", "Never"):
        if manifest == policy:
            return policy
    return option


def never_message(image: str, engine: str) -> str:
    """Returns what is wrong with an image that is absent under Never, and what to do."""
    tool = engine if engine in {"docker", "podman"} else "podman"
    return (
        f"Image {image} is not in the store of {engine}, and the pull policy is Never. "
        f"Load it (`{tool} pull {image}` or `{tool} load -i FILE.tar`), or set imagePullPolicy IfNotPresent."
    )


def failure_message(image: str, error: EngineError) -> str:
    """Returns why a pull failed: image, registry and the engine's reason."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, EngineUnavailable):
        return f"Image {image} could not be pulled because the engine does not answer: {text}"
    registry = registry_of(image)
    where = f" from {registry}" if registry and registry not in text else ""
    return text if image in text and not where else f"Image {image} could not be pulled{where}: {text}"


def progress_message(seen: PullProgress) -> str:
    """Returns ``pulling, 12 of 340 MB``, or the engine's own words."""
    if seen.total > 0:
        return f"pulling, {seen.current / 1e6:.0f} of {seen.total / 1e6:.0f} MB"
    if seen.current > 0:
        return f"pulling, {seen.current / 1e6:.0f} MB so far"
    return seen.message or "pulling"
