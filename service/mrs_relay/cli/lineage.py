"""`mrs-relay lineage`: OpenLineage run events. See `mrs-relay settings lineage` and `forwarding` for its settings."""

from __future__ import annotations

import typer

from mrs_relay import settings
from mrs_relay.cli import options, run

app = typer.Typer(help="Send what jobs read and write to a catalogue.", no_args_is_help=True)


@app.callback()
def lineage() -> None:
    """Send OpenLineage run events to a catalogue, such as Marquez or DataHub."""


@app.command(
    epilog=run.epilog("mrs-relay lineage forward", "mrs-relay lineage forward --config relay.toml"),
)
def forward(config: options.Config = None) -> None:
    """
    Send run events from kafka.topics.lineage to forwarding.url until SIGTERM, SIGHUP or Ctrl-C.

    Each is sent until the endpoint has taken it, in the order of its request; after a crash some are sent again. Any
    number may run; they need Kafka and no access to MRS. Everything is a setting, in the environment or in a file.
    """
    from mrs_relay import lineage_role  # noqa: PLC0415 - the other commands start sooner without it

    lineage_role.run(settings.load_forwarder(config))
