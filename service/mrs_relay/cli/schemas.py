"""
`mrs-relay schemas`: export, check and register the contract of all messages.

Neighbours: `messages.export` makes the documents from the models, `messages.compat` judges changes, `messages.checking`
checks messages, `cli.registration` talks to a schema registry.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Annotated, Any

import typer

from mrs_relay import errors
from mrs_relay.cli import options, registration, run, view
from mrs_relay.messages import asyncapi, checking, codec, examples, export, registry, schema

app = typer.Typer(
    no_args_is_help=True,
    help="The contract: JSON Schemas of every message and an AsyncAPI document; write, check, show, register.",
)

Folder = Annotated[pathlib.Path, typer.Argument(metavar="DIR", file_okay=False, help="Folder of the schema files.")]


@app.command(name="export", epilog=run.epilog("mrs-relay schemas export schemas"))
def export_(
    folder: Folder,
    breaking: Annotated[
        bool, typer.Option("--breaking", help="Write them even if what the files in DIR promise is no longer kept.")
    ] = False,
) -> None:
    """Write all schemas and the AsyncAPI document below DIR; files that are there are replaced."""
    if folder.is_dir() and not breaking and _print_changes(export.breaks(folder)):
        view.err().print(
            "Nothing was written: this would break those who rely on it. Keep it, or make a new version of the type; "
            "--breaking writes it all the same.",
            markup=False,
        )
        raise typer.Exit(run.Code.FAILED)
    for path in export.write(folder):
        typer.echo(path)


@app.command(epilog=run.epilog("mrs-relay schemas check schemas", "mrs-relay schemas check DIR --baseline 0.1.json"))
def check(
    folder: Folder,
    baseline: Annotated[
        pathlib.Path | None,
        typer.Option(
            metavar="PATH", exists=True, help="What was released: a folder of schemas, or a file made by `baseline`."
        ),
    ] = None,
) -> None:
    """
    Compare the files below DIR with the models; exit 1 and one line for each difference.

    Adding is fine; what the files, or those of --baseline, promise and the models no longer keep is named first.
    """
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is no folder; write it with `mrs-relay schemas export {folder}`")
    broken = _print_changes(
        [line for place in (baseline, folder) if place is not None for line in export.breaks(place)]
    )
    if broken:
        view.err().print("The lines above break those who rely on these messages.", markup=False)
    different = _print_changes(export.differences(folder))
    if different:
        view.err().print(f"Write them again with `mrs-relay schemas export {folder}`.", markup=False)
    if broken or different:
        raise typer.Exit(run.Code.FAILED)


@app.command(epilog=run.epilog("mrs-relay schemas baseline > 0.1.json"))
def baseline() -> None:
    """Print all schemas as one JSON text, to be kept at a release and compared with by `check --baseline`."""
    typer.echo(export.baseline_text(), nl=False)


@app.command(epilog=run.epilog("mrs-relay schemas show mrs.sql.submit", "mrs-relay schemas show asyncapi"))
def show(
    kind: Annotated[
        str, typer.Argument(metavar="NAME", help="A request or event type (`schemas list` has them), or asyncapi.")
    ],
    example: Annotated[bool, typer.Option("--example", help="Print an example of a request instead.")] = False,
) -> None:
    """Print the JSON Schema of one message type, or the AsyncAPI document."""
    if example and kind not in examples.DATA:
        raise typer.BadParameter(f"there is no example of {kind!r}; requests have one", param_hint="NAME")
    typer.echo(schema.text(examples.message(kind) if example else _document(kind)), nl=False)


@app.command(name="list", epilog=run.epilog("mrs-relay schemas list"))
def list_() -> None:
    """Name all message types and say what they mean."""
    table = view.grid("type", "direction")
    table.add_column("meaning", overflow="fold")
    for kind, model in sorted(registry.REQUESTS.items()):
        table.add_row(kind, "request", view.plain(_first_line(model)))
    for kind in registry.EVENTS:
        table.add_row(kind, "event", view.plain(registry.meaning(kind)))
    view.out().print(table)


@app.command(epilog=run.epilog("mrs-relay schemas validate request.json", "kcat … | mrs-relay schemas validate -"))
def validate(
    file: Annotated[
        pathlib.Path,
        typer.Argument(metavar="FILE", allow_dash=True, help="`-` is standard input."),
    ],
    as_json: options.AsJson = False,
) -> None:
    """
    Say whether messages are valid, and which field is wrong; exit 1 if one is not.

    FILE holds requests or events as CloudEvents in JSON, or requests as plain JSON: one, a list, or one a line.
    """
    checked = checking.check(_read(file))
    if not checked:
        raise errors.SettingsError(f"{file} holds no message")
    wrong = [each for each in checked if each.problem is not None]
    for each in checked if as_json else wrong:
        typer.echo(_as_json(each) if as_json else _line(file, each))
    if wrong:
        raise typer.Exit(run.Code.FAILED)
    if not as_json:
        typer.echo(f"{file}: {len(checked)} valid" if len(checked) > 1 else f"{file}: valid {checked[0].kind}")


@app.command(
    epilog=run.epilog("mrs-relay schemas register --registry http://localhost:8081 --requests-topic mrs.requests")
)
def register(
    url: Annotated[str, typer.Option("--registry", metavar="URL", help="Of a Confluent-compatible schema registry.")],
    *,
    requests_topic: Annotated[str, typer.Option(metavar="NAME", help="Begins the subjects of requests.")] = (
        "mrs.requests"
    ),
    events_topic: Annotated[str, typer.Option(metavar="NAME", help="Begins the subjects of events.")] = "mrs.events",
    user: Annotated[str | None, typer.Option(metavar="NAME", help="For HTTP basic authentication.")] = None,
    password: Annotated[
        str,
        typer.Option(envvar="MRS_RELAY_REGISTRY_PASSWORD", show_envvar=True, help="Of --user; better in the variable."),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the registry what it would say; change nothing.")] = (
        False
    ),
) -> None:
    """
    Register every schema in a Confluent-compatible schema registry, under the subject `<topic>-<type>`.

    Registering again changes nothing. Messages stay plain JSON: the relay neither reads nor writes the registry's own
    five bytes before a message.
    """
    place = registration.Registry(url, user, password)
    subjects = registration.subjects(requests_topic, events_topic)
    outcomes = run.loop(registration.register(place, subjects, dry_run=dry_run))
    for each in outcomes:
        typer.echo(f"{each.subject}: {each.said}")
    if not all(each.fine for each in outcomes):
        raise typer.Exit(run.Code.FAILED)


def _read(file: pathlib.Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise errors.SettingsError(f"{file} cannot be read: {error.strerror}") from error


def _print_changes(lines: list[str]) -> bool:
    for line in lines:
        typer.echo(line)
    return bool(lines)


def _document(kind: str) -> dict[str, Any]:
    if kind == "asyncapi":
        return asyncapi.document()
    if kind in registry.REQUESTS:
        return schema.request(kind)
    if kind in registry.EVENTS:
        return schema.event(kind)
    raise typer.BadParameter(f"no type {kind!r}; `mrs-relay schemas list` names them all", param_hint="NAME")


def _line(file: pathlib.Path, each: checking.Checked) -> str:
    where = f"{file}: {each.where}" if each.where else str(file)
    return f"{where}: {each.kind + ': ' if each.kind else ''}{each.problem} [{each.code}]"


def _as_json(each: checking.Checked) -> bytes:
    row = {"where": each.where, "type": each.kind, "valid": each.problem is None, "problem": each.problem}
    return codec.encode({**row, "code": each.code, "field": each.field})


def _first_line(model: type[Any]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]
