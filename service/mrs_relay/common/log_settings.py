"""Settings of the log."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from mrs_relay.common import described, logs


class LogSettings(described.Described):
    """The content and form of the log."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is written. INFO reports the events of each partition; DEBUG also those of each call."""

    format: Literal["auto", "json", "console"] = "auto"
    """Lines of JSON, or coloured text; "auto" is text on a terminal and JSON elsewhere."""

    names: logs.LogNames = "plain"
    """Names of the fields of JSON lines: our own, the Elastic Common Schema's ("ecs"), or OpenTelemetry's ("otel")."""

    lines_per_minute: Annotated[int, pydantic.Field(ge=0, le=1_000_000)] = 600
    """
    Lines of one event name, or of one library, that are written within a minute; 0: no limit. The first line that is
    left out is announced (`lines_limited`), and when the minute is over their number is written (`lines_left_out`).
    """


def set_up(chosen: LogSettings) -> None:
    """Set the log up as the settings say."""
    logs.setup(level=chosen.level, style=chosen.format, names=chosen.names, most=chosen.lines_per_minute)
