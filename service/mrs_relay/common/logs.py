"""
The set-up of structlog: JSON lines for machines, coloured lines for a terminal.

A log event is a constant name plus fields. Values of fields that are named like secrets are replaced, as a last
defence behind the secret types in the settings.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO, cast

import structlog

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


def _plain() -> logging.Formatter:
    return logging.Formatter("%(levelname)s %(name)s %(message)s")


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
            structlog.processors.format_exc_info,
            *renderers,
        ],
    )


def setup(*, level: str = "INFO", style: LogFormat = "auto", names: LogNames = "plain") -> None:
    """
    Configure structlog and the standard library's root logger to write to standard error.

    Args:
        level: lowest level that is written, such as "INFO".
        style: "json", "console", or "auto" (console when standard error is a terminal).
        names: of the fields of lines in JSON.
    """
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
    handler.setFormatter(_plain() if console else _json(*renderers))
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(not console)

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _hide_secrets,
            structlog.processors.format_exc_info,
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
