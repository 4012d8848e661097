"""`mrs-relay serve`: the relay itself. Everything about it is a setting; see `mrs-relay settings`."""

from __future__ import annotations

import typer

from mrs_relay import settings
from mrs_relay.cli import options


def serve(config: options.Config = None) -> None:
    """
    Run the relay until SIGTERM, SIGHUP or Ctrl-C.

    Reads requests from Kafka, runs them on MRS, publishes every change of their state. Everything is a setting, in the
    environment or in a file; `mrs-relay settings` lists them.
    """
    from mrs_relay import app  # noqa: PLC0415 - the whole service; the other commands start sooner without it

    code = app.run(settings.load(config))
    if code:
        raise typer.Exit(code)
