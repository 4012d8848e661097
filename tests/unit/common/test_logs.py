"""One line for each event, without secrets."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import textwrap

import pytest

from mrs_relay.common import logs

_HIDDEN = "hunter2"


def _run(code: str, *, style: str = "json", level: str = "INFO", names: str = "plain", most: int = 0) -> list[str]:
    """Return lines on standard error of a process of its own, for logging is set up for the whole process."""
    start = (
        f"import structlog, logging\nfrom mrs_relay.common import logs\n"
        f"logs.setup(level={level!r}, style={style!r}, names={names!r}, most={most})\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{start}log = structlog.get_logger('t')\n{textwrap.dedent(code)}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_lines_carry_name_level_time_and_fields() -> None:
    """Each event is one JSON object; fields bound for a task are part of it; errors bring their stack."""
    lines = _run(
        """
        structlog.contextvars.bind_contextvars(partition=3)
        log.info("job_taken", request="order-1", size_bytes=7)
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("poll_failed")
        """
    )

    taken, failed = map(json.loads, lines)
    assert taken.pop("timestamp").endswith("Z")
    assert taken == {"event": "job_taken", "level": "info", "partition": 3, "request": "order-1", "size_bytes": 7}
    assert (failed["event"], failed["level"], failed["partition"]) == ("poll_failed", "error", 3)
    assert "ZeroDivisionError" in failed["exception"]


def test_events_below_the_level_are_not_written() -> None:
    """The level bounds our own events; other libraries speak from warning on only."""
    code = 'log.info("a"); log.warning("b"); logging.getLogger("lib").info("c"); logging.getLogger("lib").warning("d")'
    assert [line for line in _run(code, style="console") if "lib" in line] == ["WARNING lib d"]
    assert [json.loads(line)["event"] for line in _run(code, level="warning")] == ["b", "d"]
    assert _run(code, level="error") == []


def test_what_libraries_log_and_warn_of_is_json_too() -> None:
    """A collector parses every line: messages with a stack, asyncio's own, and Python's warnings."""
    lines = _run(
        """
        import asyncio, warnings
        warnings.simplefilter("always")
        try:
            raise OSError("broker gone")
        except OSError:
            logging.getLogger("aiokafka").error("fetch of %s failed", "t", exc_info=True)
        warnings.warn("old")
        async def main():
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
            await asyncio.sleep(0.01)
        asyncio.run(main())
        """
    )

    fetch, warning, callback = map(json.loads, lines)
    assert (fetch["event"], fetch["logger"], fetch["level"]) == ("fetch of t failed", "aiokafka", "error")
    assert fetch["exception"].endswith("\nOSError")
    assert (warning["logger"], warning["level"]) == ("py.warnings", "warning")
    assert callback["logger"] == "asyncio"
    assert "ZeroDivisionError" in callback["exception"]


@pytest.mark.parametrize("style", ["json", "console", "auto"])
@pytest.mark.parametrize(
    "name",
    ["secret", "sk", "SK", "secret_key", "password", "iam_password", "x_auth_token", "Authorization", "access_key_id"],
)
def test_fields_named_for_secrets_are_hidden(style: str, name: str) -> None:
    """A field whose name speaks of a secret shows stars, whatever its value is; others are shown."""
    fields = {name: _HIDDEN, "request": "order-1", "task": "t", "risk": "low"}
    shown = dict(logs._hide_secrets(None, "info", dict(fields)))
    assert shown == {**fields, name: "***"}
    if name == "secret":
        (line,) = _run(f"log.info('x', {name}={_HIDDEN!r}, request='order-1')", style=style)
        assert _HIDDEN not in line
        assert "order-1" in line


def test_unknown_level_is_refused() -> None:
    """A level that does not exist is an error, not silence."""
    before = logging.getLogger().handlers[:]
    with pytest.raises(KeyError):
        logs.setup(level="LOUD")
    assert logging.getLogger().handlers == before


def test_colours_are_for_terminals_only() -> None:
    """Without a terminal, `auto` writes JSON; `console` writes lines for people."""
    (line,) = _run("log.info('hello', a=1)", style="auto")
    assert json.loads(line)["a"] == 1
    (line,) = _run("log.info('hello', a=1)", style="console")
    assert "hello" in line
    assert not line.startswith("{")


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_line_that_cannot_be_written_is_lost_and_ends_nothing(style: str) -> None:
    """A terminal that was closed, or a full disk: what the line is about continues."""
    lines = _run(
        """
        import os
        log.info("before")
        os.close(2)
        log.info("job_taken")
        logging.getLogger("library").warning("something")
        os.open(os.devnull, os.O_WRONLY)
        """,
        style=style,
    )
    assert len(lines) == 1


_FAILED = """
structlog.contextvars.bind_contextvars(trace_id="4bf9", span_id="00f0")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("poll_failed", request="r-1", error="ZeroDivisionError", secret_key="hunter2")
logging.getLogger("aiokafka").warning("fetch failed")
"""


def test_lines_have_the_names_of_the_elastic_common_schema_on_request() -> None:
    """Fields of ours clash with none of the schema's objects, such as `error`; secrets stay hidden."""
    failed, fetch = map(json.loads, _run(_FAILED, names="ecs"))
    assert failed.pop("@timestamp").endswith("Z")
    assert "ZeroDivisionError" in failed.pop("error.stack_trace")
    assert failed == {
        "log.level": "error",
        "message": "poll_failed",
        "ecs.version": "8.11.0",
        "trace.id": "4bf9",
        "span.id": "00f0",
        "mrs_relay": {"request": "r-1", "error": "ZeroDivisionError", "secret_key": "***"},
    }
    assert (fetch["log.logger"], fetch["message"]) == ("aiokafka", "fetch failed")


def test_lines_have_the_names_of_opentelemetry_s_data_model_on_request() -> None:
    """The body is the event, its fields are attributes."""
    failed, fetch = map(json.loads, _run(_FAILED, names="otel"))
    assert failed.pop("timestamp").endswith("Z")
    assert "ZeroDivisionError" in failed["attributes"].pop("exception.stacktrace")
    assert failed == {
        "severity_text": "ERROR",
        "severity_number": 17,
        "body": "poll_failed",
        "trace_id": "4bf9",
        "span_id": "00f0",
        "attributes": {"request": "r-1", "error": "ZeroDivisionError", "secret_key": "***"},
    }
    assert (fetch["severity_text"], fetch["attributes"]["logger"]) == ("WARNING", "aiokafka")


def test_the_level_changes_while_the_process_runs() -> None:
    """From the next line on, also for loggers that were made before."""
    lines = _run(
        """
        log.debug("a")
        logs.set_level("DEBUG")
        log.debug("b")
        logs.set_level("ERROR")
        log.warning("c")
        logging.getLogger("lib").warning("d")
        log.error("e")
        """
    )
    assert [json.loads(line)["event"] for line in lines] == ["b", "e"]


@pytest.mark.parametrize("style", ["json", "console"])
def test_stacks_are_written_without_the_texts_of_foreign_errors(style: str) -> None:
    """A library quotes the value that it failed on; our own errors and the system's say what to do, and are shown."""
    lines = _run(
        f"""
        from mrs_relay import errors
        def failing():
            try:
                try:
                    raise ValueError("bad value {_HIDDEN}")
                except ValueError as cause:
                    raise errors.SettingsError("web.port: taken") from cause
            except errors.SettingsError as error:
                raise ExceptionGroup("{_HIDDEN}", [error, FileNotFoundError(2, "No such file", "{_HIDDEN}")])
        try:
            failing()
        except ExceptionGroup as error:
            log.error("task_failed", exc_info=error)
            log.exception("task_failed")
            logging.getLogger("lib").error("failed", exc_info=True)
        import asyncio
        class Odd(ValueError):
            __repr__ = ValueError.__str__
        async def main():
            for kind in (ValueError, Odd):
                async def lost():
                    raise kind("{_HIDDEN} (>)")
                task = asyncio.ensure_future(lost())
                await asyncio.sleep(0.01)
                del task
                import gc; gc.collect()
        asyncio.run(main())
        """,
        style=style,
    )

    text = "\n".join(lines)
    assert _HIDDEN not in "\n".join(line for line in text.splitlines() if "raise " not in line)
    assert text.count("SettingsError: web.port: taken") == 6  # what the group came from, and what is in it
    assert text.count("No such file") == 3
    assert "exception=ValueError>" in text
    assert "exception=...>" in text  # some errors, such as pydantic's, show nothing but their text


def test_a_storm_of_one_event_is_announced_and_counted() -> None:
    """Libraries have the names of their loggers; the process ends with the numbers."""
    lines = _run(
        """
        for number in range(10):
            log.error("poll_failed", number=number)
            logging.getLogger("aiokafka").warning("fetch %d failed", number)
        log.info("job_taken")
        """,
        most=2,
    )

    shown = [json.loads(line) for line in lines]
    assert [one["event"] for one in shown if one["event"] not in {"lines_limited", "lines_left_out"}] == [
        "poll_failed",
        "fetch 0 failed",
        "poll_failed",
        "fetch 1 failed",
        "job_taken",
    ]

    assert [(one["of"], one["level"]) for one in shown if one["event"] == "lines_limited"] == [
        ("poll_failed", "error"),
        ("aiokafka", "warning"),
    ]
    assert [(one["of"], one["count"]) for one in shown if one["event"] == "lines_left_out"] == [
        ("poll_failed", 8),
        ("aiokafka", 8),
    ]
