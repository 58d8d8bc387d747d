"""The limit of open files: raised as far as it may be, remembered as it was, and not all of it given away."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")


def run(program: str, soft: int, hard: int) -> list[str]:
    """The program's output, in a process with these limits."""
    limited = f'ulimit -S -n {soft}; ulimit -H -n {hard}; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", limited, "sh", sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_soft_limit_is_raised_to_the_hard_one_and_the_first_is_remembered() -> None:
    program = (
        "from reconciler.common.descriptor_limit import *\n"
        "print(descriptor_limit(), inherited_limit())\n"
        "raise_descriptor_limit(); raise_descriptor_limit()\n"
        "print(descriptor_limit(), inherited_limit())\n"
    )

    assert run(program, 100, 300) == ["100", "None", "300", "100"]


def test_a_limit_that_is_as_high_as_it_may_be_is_left_alone() -> None:
    program = (
        "from reconciler.common.descriptor_limit import *\n"
        "raise_descriptor_limit(); print(descriptor_limit(), inherited_limit())\n"
    )

    assert run(program, 300, 300) == ["300", "None"]


def test_a_third_of_few_descriptors_is_kept_and_without_any_all_count_as_used() -> None:
    program = (
        "import os\n"
        "from reconciler.common.descriptor_limit import *\n"
        "print(may_open_more())\n"
        "opened = []\n"
        "while may_open_more(): opened.append(os.open('/dev/null', os.O_RDONLY))\n"
        "print(count_descriptors())\n"
        "try:\n"
        "    while True: opened.append(os.open('/dev/null', os.O_RDONLY))\n"
        "except OSError: pass\n"
        "print(count_descriptors(), may_open_more())\n"
    )

    assert run(program, 90, 90) == ["True", "60", "90", "False"]
