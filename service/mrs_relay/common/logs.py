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


def _plain() -> logging.Formatter:
    return logging.Formatter("%(levelname)s %(name)s %(message)s")


def _json(renderer: structlog.typing.Processor) -> logging.Formatter:
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

    # The standard library's root logger: what the libraries log.
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
        # A cached logger would keep the configuration of its first line, whatever is configured later.
        cache_logger_on_first_use=False,
    )
