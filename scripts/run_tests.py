#!/usr/bin/env python3
"""``make test``'s last step: images made, engines started, pytest run, engines stopped whatever happened.

pytest's summary stays the last thing printed, and its exit status is this program's. An engine or image
that can't be had on this machine is reported here and its tests skip, counted. Run with .venv's Python.
"""

from __future__ import annotations

import argparse
import compileall
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support import engines, images  # noqa: E402  (the repository is no installed package)

#: ``prctl(2)``.
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Prepare, run pytest, clean up; pytest's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="2", help="pytest processes (0: none, in this order)")
    parser.add_argument("rest", nargs="*", help="passed on to pytest")
    options, unknown = parser.parse_known_args()
    # A plain TERM would leave engines behind: make it an exception like ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Started in the background (nohup, CI) this program ignores INT, and pytest would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Where this is set (containers, CI), each of a thousand commands would compile the package anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(ROOT / "reconciler", quiet=1)
    with engines.using_engines():
        _prepare()
        command = [
            sys.executable, "-m", "pytest", "-n", options.workers, "--dist", "loadgroup",
            "--durations=40", "--durations-min=5",
            *unknown, *options.rest,
        ]  # fmt: skip
        _say(" ".join(["pytest", *command[3:]]))
        return _pytest(command)


def _prepare() -> None:
    """Everything slow that tests would otherwise wait for one by one."""
    for name in (*images.PACKAGES, "torch"):
        started = time.monotonic()
        try:
            if name == "torch":
                images.ensure_site()
            else:
                images.ensure_archive(name)
        except images.ImageMissing as error:
            _say(f"image {name}: {error}")
        else:
            _say(f"image {name}: ready after {time.monotonic() - started:.0f} s")
    for kind in engines.KINDS:
        try:
            url = engines.ensure_engine(kind)
            for name in images.names_for(kind):
                images.ensure_image(kind, name, url=url)
        except (engines.EngineMissing, images.ImageMissing) as error:
            _say(f"{kind}: its tests are skipped: {error}")
        else:
            _say(f"{kind}: {url}")


def _pytest(command: list[str]) -> int:
    """Its exit status; on an interrupt it and its workers are given time to clean up what they made."""
    # A process group of its own, workers included: xdist ends its workers without a word.
    # It is interrupted, too, when this program is killed: by a time limit, say.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env=os.environ,
        process_group=0,
        preexec_fn=_interrupt_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  (one thread)
    )
    try:
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
        raise


def _interrupt_with_parent() -> None:
    """In the child: asks the kernel for an INT when the parent ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _say(text: str) -> None:
    print(f"== {text}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
