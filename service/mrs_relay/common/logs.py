"""
The set-up of structlog: JSON lines for machines, coloured lines for a terminal.

A log event is a constant name plus fields. Values of fields that are named like secrets are replaced, as a last
defence behind the secret types in the settings, and stacks are written without the texts of errors that are not our
own: libraries quote the value that they failed on. `log_rates` limits how many lines of one name are written.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO, cast

import structlog

from mrs_relay.common import clock, faults, log_rates

LogFormat = Literal["auto", "json", "console"]

LogNames = Literal["plain", "ecs", "otel"]
"""
Names of the fields of lines in JSON: our own, or those that backends for logs know without a mapping.

`ecs` is the Elastic Common Schema; our own fields stand below `mrs_relay`, as a text named `error` or `source` would
clash with the schema's objects of these names. `otel` is the data model of OpenTelemetry's logs.
"""

Fields = MutableMapping[str, Any]

_SECRET_WORDS = ("secret", "password", "token", "authorization", "access_key", "security_token", "sk")


def _hide_secrets(_logger: Any, _method: str, fields: Fields) -> Fields:  # noqa: ANN401 - structlog's processor type
    for name in fields:
        lowered = name.lower()
        if lowered == "sk" or any(word in lowered for word in _SECRET_WORDS[:-1]):
            fields[name] = "***"
    return fields


def _show_stack(_logger: Any, _method: str, fields: Fields) -> Fields:  # noqa: ANN401 - structlog's processor type
    """Replace the error of a line by its stack; see `faults.trace`."""
    given = fields.pop("exc_info", None)
    found = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(found, BaseException):
        fields["exception"] = faults.trace(found)
    return fields


_TASK_ERROR: Final = re.compile(r"exception=(?:(\w+)\()?.*(?=>)", re.DOTALL)
"""How asyncio shows the error of a task that nothing has waited for: as the error shows itself, in whatever form."""


def _without_task_error(text: str) -> str:
    return _TASK_ERROR.sub(lambda found: f"exception={found[1] or '...'}", text)


def _hide_task_error(_logger: Any, _method: str, fields: Fields) -> Fields:  # noqa: ANN401 - the same
    fields["event"] = _without_task_error(str(fields.get("event", "")))
    return fields


class _Limit:
    """
    Leave out lines beyond the limit of their event's name; libraries have the names of their loggers.

    Args:
        most: see `log_rates.Rates`.
    """

    def __init__(self, most: int) -> None:
        self._rates = log_rates.Rates(most, clock.SystemClock().monotonic_s, _tell)
        atexit.register(self._rates.close)

    def __call__(self, _logger: Any, method: str, fields: Fields) -> Fields:  # noqa: ANN401 - structlog's processor type
        """Let a line of ours pass, or leave it out."""
        name = str(fields.get("event", ""))
        if name not in _OWN and not self._rates.may_write(name, logging.getLevelNamesMapping()[method.upper()]):
            raise structlog.DropEvent
        return fields

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a line of a library pass, or leave it out."""
        return self._rates.may_write(record.name, record.levelno)

    def close(self) -> None:
        """Say what was left out, and count no more."""
        self._rates.close()
        atexit.unregister(self._rates.close)


_OWN: Final = frozenset({"lines_limited", "lines_left_out"})


def _tell(one: log_rates.LeftOut) -> None:
    log = structlog.get_logger(__name__)
    if one.number:
        log.log(one.level, "lines_left_out", of=one.name, count=one.number)
    else:
        log.log(one.level, "lines_limited", of=one.name, within_s=log_rates.WINDOW_S)


_limit: _Limit | None = None
"""That of the present set-up."""


class _StandardError:
    """
    A stream that looks up standard error whenever a line is written, not once when logging is set up.

    What cannot be written is lost: a closed terminal or a full disk must not end what the line is about.
    """

    def write(self, text: str) -> int:
        """Write text."""
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush standard error."""
        with contextlib.suppress(OSError):
            sys.stderr.flush()


_ECS_VERSION: Final = "8.11.0"
_SEVERITIES: Final = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
"""Source: OpenTelemetry, logs data model, SeverityNumber."""


def _ecs(_logger: Any, _method: str, fields: Fields) -> Fields:  # noqa: ANN401 - structlog's processor type
    """Give a line the names of the Elastic Common Schema."""
    line: Fields = {
        "@timestamp": fields.pop("timestamp", None),
        "log.level": fields.pop("level", None),
        "message": str(fields.pop("event", "")),
        "ecs.version": _ECS_VERSION,
    }

    for ours, theirs in (
        ("logger", "log.logger"),
        ("trace_id", "trace.id"),
        ("span_id", "span.id"),
        ("exception", "error.stack_trace"),
    ):
        if ours in fields:
            line[theirs] = fields.pop(ours)

    if fields:
        line["mrs_relay"] = dict(fields)
    return line


def _otel(_logger: Any, _method: str, fields: Fields) -> Fields:  # noqa: ANN401 - structlog's processor type
    """Give a line the names of the data model of OpenTelemetry's logs."""
    level = str(fields.pop("level", "info"))
    line: Fields = {
        "timestamp": fields.pop("timestamp", None),
        "severity_text": level.upper(),
        "severity_number": _SEVERITIES.get(level, 0),
        "body": str(fields.pop("event", "")),
    }
    for name in ("trace_id", "span_id"):
        if name in fields:
            line[name] = fields.pop(name)
    if "exception" in fields:
        fields["exception.stacktrace"] = fields.pop("exception")
    line["attributes"] = dict(fields)
    return line


_RENAMED: Final = {"ecs": _ecs, "otel": _otel}


class _Plain(logging.Formatter):
    """Format the log records of libraries for people."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Format a message without the error of a task."""
        return _without_task_error(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - the library's name and type
        """Format an error as `_show_stack` does."""
        return faults.trace(ei[1])


def _json(*renderers: structlog.typing.Processor) -> logging.Formatter:
    """Format the log records of libraries, with their stacks, as one JSON object a line, like our own events."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _hide_secrets,
            _hide_task_error,
            _show_stack,
            *renderers,
        ],
    )


def setup(*, level: str = "INFO", style: LogFormat = "auto", names: LogNames = "plain", most: int = 0) -> None:
    """
    Configure structlog and the standard library's root logger to write to standard error.

    Args:
        level: lowest level that is written, such as "INFO".
        style: "json", "console", or "auto" (console when standard error is a terminal).
        names: of the fields of lines in JSON.
        most: lines of one event name within a minute; 0: no limit.
    """
    global _limit  # noqa: PLW0603 - structlog's configuration is of the whole process, too
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderers: list[Any] = []
    if console:
        renderers.append(structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback))
    else:
        renderers += [_RENAMED[names]] if names in _RENAMED else []
        renderers.append(structlog.processors.JSONRenderer())

    # The standard library's root logger: what the libraries log.
    threshold = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(cast("TextIO", _StandardError()))
    handler.setFormatter(_Plain() if console else _json(*renderers))
    if _limit is not None:
        _limit.close()
    _limit = _Limit(most)
    handler.addFilter(_limit.filter)
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(not console)

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _limit,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _hide_secrets,
            _show_stack,
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", _StandardError())),
        # A cached logger would keep the configuration of its first line, whatever is configured later.
        cache_logger_on_first_use=False,
    )


def set_level(level: str) -> None:
    """Change the lowest level that is written, from the next line on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(max(threshold, logging.WARNING))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(threshold))
