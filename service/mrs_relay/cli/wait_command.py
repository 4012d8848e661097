"""`mrs-relay wait`: follow requests that were sent before to their ends, and show their rows."""

from __future__ import annotations

from typing import Annotated

import typer

from mrs_relay.cli import complete, connect, options, run, wait
from mrs_relay.kafka import topic_io


def wait_for(
    request_ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids of the requests.", autocompletion=complete.ids)
    ],
    *,
    source: Annotated[str | None, typer.Option("--source", help="Only requests of this source.")] = None,
    since: Annotated[
        str,
        typer.Option("--since", metavar="WHEN", help="When the first was sent at the latest: 2h, 3d, or a moment."),
    ] = "1d",
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Wait for the ends of requests that were sent before, and show their rows; of those that have ended, at once.

    It reads the events topic and sends nothing. Exit code 1: one did not succeed.
    """
    how = wait.How(config, bootstrap, tenant, True, options.timeout_s(timeout), as_json)
    start = topic_io.Start(options.moment_ms(since, "--since"))
    names = [(source, one) for one in dict.fromkeys(request_ids)]
    code = run.loop(wait.attach(names, start, connect.kafka(config, bootstrap, tenant), how))
    if code:
        raise typer.Exit(code)
