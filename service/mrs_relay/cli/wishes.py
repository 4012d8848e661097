"""
`mrs-relay cancel` and `mrs-relay resolve`: what people want of a request that was sent before.

Both send one message; what comes of it is told by the request's own events (`mrs-relay watch --id …`).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mrs_relay.cli import compose, connect, options, run, wait

Request = Annotated[str, typer.Argument(metavar="ID", help="Id of the request.")]
RequestSource = Annotated[str, typer.Option("--source", help="Source of the request.")]
Key = Annotated[str | None, typer.Option("--key", help="Kafka key of the request: usually its cluster id.")]


def cancel(
    *,
    request_id: Request,
    source: RequestSource = compose.SOURCE,
    key: Key = None,
    note: Annotated[str, typer.Option("--note", help="Why; it comes back in the reason.")] = "",
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Stop a request, whatever its state, also before it came.

    `cancelled` is told once MRS confirms; a job that ends first is told with its own verdict.
    """
    data = {"request": {"id": request_id, "source": source}, "note": note}
    _send("mrs.job.cancel", data, key, wait.How(config, bootstrap, tenant, as_json=as_json))


def resolve(
    *,
    request_id: Request,
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="succeeded, failed or cancelled.")],
    note: Annotated[str, typer.Option("--note", help="Who says so and why; it comes back in the reason.")],
    source: RequestSource = compose.SOURCE,
    key: Key = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Settle a request that is `unknown`, after a look at MRS.

    Any other request is told again as it stands.
    """
    data = {"request": {"id": request_id, "source": source}, "verdict": verdict, "note": note}
    _send("mrs.job.resolve", data, key, wait.How(config, bootstrap, tenant, as_json=as_json))


def _send(kind: str, data: dict[str, Any], key: str | None, how: wait.How) -> None:
    message = compose.message({"type": kind, "data": data}, compose.Defaults(key=key))
    code = run.loop(wait.deliver([message], connect.kafka(how.config, how.bootstrap, how.tenant), how))
    if code:
        raise typer.Exit(code)
