"""`mrs-relay web`: the HTTP API, and the tokens of its callers. See `mrs-relay settings api` for its settings."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Annotated, Final

import typer

from mrs_relay import errors, settings
from mrs_relay.api.access import callers, tokens
from mrs_relay.cli import options, run, view
from mrs_relay.common import clock
from mrs_relay.messages import codec

_DAY_MS: Final = 86_400_000

app = typer.Typer(invoke_without_command=True, epilog=run.epilog("mrs-relay web", "mrs-relay web --config relay.toml"))


@app.callback()
def web(context: typer.Context, config: options.Config = None) -> None:
    """
    Serve requests and events over HTTP until SIGTERM, SIGHUP or Ctrl-C.

    Reads the topics of events and dead letters into a database and answers from it. Any number may run, beside any
    number of relays; they need Kafka and no access to MRS. Everything is a setting, in the environment or in a file.
    """
    if context.invoked_subcommand is not None:
        return
    if importlib.util.find_spec("sqlalchemy") is None:
        raise errors.SettingsError("`mrs-relay web` needs a database library: pip install 'mrs-relay[web]'")
    from mrs_relay import web_role  # noqa: PLC0415 - the other commands start sooner without it, and need no extra

    web_role.run(settings.load_web_role(config))


@app.command(
    epilog=run.epilog(
        "mrs-relay web token ann --role operator --tenant etl --file tokens",
        "mrs-relay web token grafana --role viewer --days 90 --json",
    )
)
def token(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is; events and the audit show it.")],
    role: Annotated[str, typer.Option("--role", help="viewer, operator or admin.")] = "viewer",
    tenants: Annotated[
        list[str] | None, typer.Option("--tenant", help="For which tenant, several times; all of them by default.")
    ] = None,
    days: Annotated[float | None, typer.Option("--days", min=0, help="It ends after so many; else never.")] = None,
    file: Annotated[
        pathlib.Path | None,
        typer.Option("--file", metavar="FILE", dir_okay=False, help="Add the line to api.access.tokens_file."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """
    Make a bearer token for a caller of the HTTP API.

    The token is printed once and kept nowhere. Its line for the file of tokens holds only its hash; a running
    `mrs-relay web` takes the change up at once. To take a token back, remove its line.
    """
    try:
        grants = callers.read_grants(",".join(f"{role}@{tenant}" for tenant in tenants or [callers.EVERY]))
    except ValueError as error:
        raise errors.SettingsError(str(error)) from None
    until_ms = None if days is None else clock.SystemClock().now_ms() + round(days * _DAY_MS)
    made, line = tokens.make(name, grants, until_ms)

    if file is not None:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        with file.open("a", encoding="utf-8") as opened:
            opened.write(("" if before.endswith("\n") or not before else "\n") + line + "\n")
    if as_json:
        typer.echo(codec.encode({"token": made, "line": line}))
        return
    typer.echo(made)
    if file is None:
        view.err().print("line for api.access.tokens_file:", style="dim")
        typer.echo(line)
