"""The log: formats, bound context, secrets."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from reconciler.config.logging_setup import configure_logging


@pytest.fixture(autouse=True)
def restored():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_lines_begin_with_the_bound_context_in_order(capsys):
    configure_logging(log_format="json", level="info")
    structlog.contextvars.bind_contextvars(reconcile_id="r1", job="default/demo")

    structlog.get_logger("x").bind(rank=2, container="demo-node-2").info("started", seconds=1.5)

    (line,) = lines(capsys)
    assert list(line)[:4] == ["job", "rank", "container", "reconcile_id"]
    assert (line["event"], line["level"], line["seconds"]) == ("started", "info", 1.5)
    assert line["timestamp"].endswith("Z")


def test_libraries_are_logged_in_the_same_format_from_warning_on(capsys):
    configure_logging(log_format="json", level="debug")
    structlog.contextvars.bind_contextvars(job="default/demo")

    logging.getLogger("urllib3.connectionpool").debug("no news")
    logging.getLogger("urllib3.connectionpool").warning("retrying %s", "it")

    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["job"]) == ("retrying it", "warning", "default/demo")


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("error", 0)])
def test_the_level_applies_to_structlog_and_logging(capsys, level, count):
    configure_logging(log_format="json", level=level)

    structlog.get_logger("x").debug("a")
    structlog.get_logger("x").info("b")
    logging.getLogger("reconciler.engines.x").warning("c")

    assert len(lines(capsys)) == count


def test_secrets_are_masked(capsys):
    configure_logging(log_format="json", level="info")

    structlog.get_logger("x").info("login", registry_password="hush", auth_token="hush")

    written = capsys.readouterr().err
    assert "login" in written
    assert "hush" not in written


def test_an_exception_is_one_line_of_json(capsys):
    configure_logging(log_format="json", level="info")

    try:
        int("bad")
    except ValueError:
        structlog.get_logger("x").exception("failed")

    (line,) = lines(capsys)
    assert line["exception"][0]["exc_type"] == "ValueError"


def test_the_console_format_is_plain_text(capsys):
    configure_logging(log_format="console", level="info")

    structlog.get_logger("x").info("started", job="demo")

    written = capsys.readouterr().err
    assert "started" in written
    assert "job=demo" in written
    assert "\x1b" not in written


def test_configuring_twice_logs_once(capsys):
    configure_logging(log_format="console", level="info")
    configure_logging(log_format="json", level="info")

    structlog.get_logger("x").info("once")

    assert len(lines(capsys)) == 1
