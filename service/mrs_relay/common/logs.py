"""
structlog, set up once: JSON lines for machines, coloured lines for a terminal.

A log event is a constant name plus fields. Values of fields whose names speak of secrets are replaced, as a last line
of defence behind the secret types in the settings.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog

LogFormat = Literal["auto", "json", "console"]

_SECRET_WORDS = ("secret", "password", "token", "authorization", "access_key", "security_token", "sk")


def _hide_secrets(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ANN401 - structlog's processor type
    for name in fields:
        lowered = name.lower()
        if lowered == "sk" or any(word in lowered for word in _SECRET_WORDS[:-1]):
            fields[name] = "***"
    return fields


class _StandardError:
    """Standard error as it is when a line is written, not as it was when logging was set up."""

    def write(self, text: str) -> int:
        """Write text."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Let it be seen."""
        sys.stderr.flush()


def _plain() -> logging.Formatter:
    return logging.Formatter("%(levelname)s %(name)s %(message)s")


def _json(renderer: structlog.typing.Processor) -> logging.Formatter:
    """Write what libraries log, with its stack, as one JSON object for each line, like our own events."""
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
            renderer,
        ],
    )


def setup(*, level: str = "INFO", style: LogFormat = "auto") -> None:
    """
    Configure structlog and the standard library's root logger to write to standard error.

    Args:
        level: lowest level that is written, such as "INFO".
        style: "json", "console", or "auto" (console when standard error is a terminal).
    """
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    threshold = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(cast("TextIO", _StandardError()))
    handler.setFormatter(_plain() if console else _json(renderer))
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(not console)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _hide_secrets,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", _StandardError())),
        # A cached logger would keep the configuration of its first line for good, whatever is set up later.
        cache_logger_on_first_use=False,
    )
