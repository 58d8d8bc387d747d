"""An engine that answers, and what goes with it: log readers, image pulls, probes, events.

The daemon outlives its engine. :class:`Attachment` is made when an engine answers and is kept until the
daemon ends: the clients reconnect by themselves, call by call. Until the first answer there is none, and
every job's pass says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from reconciler.controller.nodeservices.image_puller import ImagePuller
from reconciler.controller.nodeservices.log_collector import LogKeeper
from reconciler.controller.nodeservices.probe_runner import Prober
from reconciler.controller.thread_pool import DaemonPool
from reconciler.engines.protocol import Engine, EngineInfo, EventStream
from reconciler.errors import EngineError
from reconciler.names import LABEL_INSTANCE, LABEL_JOB, LABEL_NAMESPACE, job_key

#: Containers created at a time, over all jobs (measured: more gains nothing on two cores).
LAUNCH_WIDTH = 4
#: Containers stopped at a time: a stop waits out its grace period and costs nothing meanwhile.
STOP_WIDTH = 64
FIRST_RETRY = 0.2
LAST_RETRY = 10.0

_log = structlog.get_logger(__name__)


class Attachment:
    """Everything that belongs to one engine.

    Args:
        engine: that has answered.
        info: what it answered.
        log_dir: for kept logs.
        clock: seconds since the epoch.
        on_key: called with ``namespace/name`` when an event or probe is about that job.
        on_image: called with an image's reference when it was pulled or failed.
        on_relist: called when events may have been missed.
    """

    def __init__(
        self,
        engine: Engine,
        info: EngineInfo,
        *,
        instance: str,
        log_dir: Path,
        clock: Callable[[], float],
        on_key: Callable[[str], None],
        on_image: Callable[[str], None],
        on_relist: Callable[[], None],
    ) -> None:
        self.engine = engine
        self.info = info
        self.logs = LogKeeper(engine, log_dir, clock=time.monotonic)
        self.puller = ImagePuller(engine, on_change=on_image, clock=clock)
        self.prober = Prober(engine, on_change=on_key)
        self.launching = DaemonPool(LAUNCH_WIDTH, "launch")
        self.stopping = DaemonPool(STOP_WIDTH, "stop")
        self._instance = instance
        self._on_key = on_key
        self._on_relist = on_relist
        self._closed = threading.Event()
        self._stream: EventStream | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, name="engine-events", daemon=True).start()

    def close(self) -> None:
        """End everything that runs beside; containers go on."""
        self._closed.set()
        with self._lock:
            if self._stream is not None:
                self._stream.close()
        self.prober.close()
        self.puller.close()
        self.logs.close(timeout=0.5)
        self.launching.shutdown(wait=False, cancel_futures=True)
        self.stopping.shutdown(wait=False, cancel_futures=True)

    def _listen(self) -> None:
        """Follow events; a broken stream, whatever broke it, is followed by a relist."""
        delay = FIRST_RETRY
        while not self._closed.is_set():
            try:
                stream = self.engine.events()
                with self._lock:
                    self._stream = stream
                if self._closed.is_set():
                    stream.close()
                    return
                self._on_relist()
                for event in stream:
                    delay = FIRST_RETRY
                    self._heard(event.labels)
            except EngineError as error:
                if not self._closed.is_set():
                    _log.warning("engine events stopped; listing again", reason=str(error), retry_in=delay)
            if self._closed.wait(delay):
                return
            delay = min(delay * 2, LAST_RETRY)

    def _heard(self, labels: object) -> None:
        if not isinstance(labels, dict) or labels.get(LABEL_INSTANCE) != self._instance:
            return
        if LABEL_JOB in labels:
            self._on_key(job_key(labels.get(LABEL_NAMESPACE, "default"), labels[LABEL_JOB]))
