"""Settings of the log."""

from __future__ import annotations

from typing import Literal

import pydantic

from mrs_relay.common import logs


class LogSettings(pydantic.BaseModel):
    """The content and form of the log."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is written. INFO reports the events of each partition; DEBUG also those of each call."""

    format: Literal["auto", "json", "console"] = "auto"
    """Lines of JSON, or coloured text; "auto" is text on a terminal and JSON elsewhere."""

    names: logs.LogNames = "plain"
    """Names of the fields of JSON lines: our own, the Elastic Common Schema's ("ecs"), or OpenTelemetry's ("otel")."""


def set_up(chosen: LogSettings) -> None:
    """Set the log up as the settings say."""
    logs.setup(level=chosen.level, style=chosen.format, names=chosen.names)
