"""Names a failed test when it fails, so that a run that is cut off has said so, and with it the time it took."""

from __future__ import annotations

import pytest

#: Characters of what the failure says.
MAX_REASON = 300


class EarlyWords:
    """A plugin of the process that prints; with xdist's workers not theirs."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Prints one line for a failure of the test, or of what it needs."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or not report.failed:
            return
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = " ".join(str(getattr(crash, "message", report.longrepr)).split())[:MAX_REASON]
        reporter.write_line(
            f"\n{report.when} failed after {report.duration:.0f} s: {report.nodeid}: {reason}"
        )
