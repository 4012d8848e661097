"""
`mrs-relay schemas`: the JSON Schemas of all messages, for other teams and for the check that `schemas/` is up to date.

Neighbour: `messages.export` makes them from the models.
"""

from __future__ import annotations

import json
import pathlib
from typing import Annotated, Any

import typer

from mrs_relay.cli import run, view
from mrs_relay.messages import events, export, registry

app = typer.Typer(no_args_is_help=True, help="JSON Schemas of every message: write, check, show.")

Folder = Annotated[pathlib.Path, typer.Argument(metavar="DIR", file_okay=False, help="Folder of the schema files.")]


@app.command(name="export", epilog=run.epilog("mrs-relay schemas export schemas"))
def export_(folder: Folder) -> None:
    """Write all schemas below DIR; files that are there are replaced."""
    for path in export.write(folder):
        typer.echo(path)


@app.command(epilog=run.epilog("mrs-relay schemas check schemas"))
def check(folder: Folder) -> None:
    """Compare the files below DIR with the models; exit 1 and one line for each difference."""
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is no folder; write it with `mrs-relay schemas export {folder}`")
    differences = export.differences(folder)
    for line in differences:
        typer.echo(line)
    if differences:
        view.err().print(f"Write them anew with `mrs-relay schemas export {folder}`.", markup=False)
        raise typer.Exit(run.Code.FAILED)


@app.command(epilog=run.epilog("mrs-relay schemas show mrs.sql.submit"))
def show(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="A request or event type; `schemas list` names them.")],
) -> None:
    """Print the JSON Schema of one message type."""
    if kind not in registry.REQUESTS and kind not in registry.EVENTS:
        raise typer.BadParameter(f"no type {kind!r}; `mrs-relay schemas list` names them all", param_hint="TYPE")
    typer.echo(json.dumps(_schema(kind), indent=2, ensure_ascii=False))


@app.command(name="list", epilog=run.epilog("mrs-relay schemas list"))
def list_() -> None:
    """Name all message types and say what they mean."""
    table = view.grid("type", "direction")
    table.add_column("meaning", overflow="fold")
    for kind, model in sorted(registry.REQUESTS.items()):
        table.add_row(kind, "request", view.plain(_first_line(model)))
    for kind in registry.EVENTS:
        table.add_row(kind, "event", view.plain(_meaning(kind.rpartition(".")[2])))
    view.out().print(table)


def _schema(kind: str) -> dict[str, Any]:
    files = export.schemas()
    return files[f"requests/{kind}/v1.json"] if kind in registry.REQUESTS else files["events/v1.json"]


def _first_line(model: type[Any]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def _meaning(state: str) -> str:
    return next((text for name, text in events.STATES.items() if name == state), "")
