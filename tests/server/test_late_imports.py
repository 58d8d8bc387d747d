"""A daemon without an endpoint has neither Starlette nor the HTTP parser in its memory."""

from __future__ import annotations

import subprocess
import sys


def test_manager_imports_no_http_library_before_a_listener_opens() -> None:
    code = "import sys, reconciler.controller.manager; print(*{'starlette', 'anyio', 'h11', 'cryptography'} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )

    assert done.stdout.split() == []
