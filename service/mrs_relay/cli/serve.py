"""`mrs-relay serve`: the relay itself. Everything about it is a setting; see `mrs-relay settings`."""

from __future__ import annotations

import functools

import typer

from mrs_relay import settings
from mrs_relay.cli import options


def serve(config: options.Config = None) -> None:
    """
    Run the relay until SIGTERM or Ctrl-C, or until its terminal is closed.

    Limits and rules of tenants are read again when FILE changes, and on SIGHUP where there is no terminal.

    Reads requests from Kafka, runs them on MRS, publishes every change of their state. Everything is a setting, in the
    environment or in a file; `mrs-relay settings` lists them.
    """
    from mrs_relay import app  # noqa: PLC0415 - the whole service; the other commands start sooner without it

    code = app.run(settings.load(config), app.Source(functools.partial(settings.load, config), config))
    if code:
        raise typer.Exit(code)
