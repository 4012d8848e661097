"""
`mrs-relay call`: perform any operation of MRS, and explain its parameters.

Its help depends on the named operation, so this module makes it from the operation itself. Neighbour: `mrs.reference`
describes the parameters of operations; this module knows no operation by name.
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from mrs_relay import settings
from mrs_relay.cli import connect, options, run, view
from mrs_relay.common import clock, logs
from mrs_relay.messages import codec

if TYPE_CHECKING:  # aiohttp and all models: other commands start faster without them
    from mrs_relay.mrs import operation, reference
    from mrs_relay.mrs import settings as mrs_settings
    from mrs_relay.mrs.models import base

_CALL: Final = "Call"


def call(
    ctx: typer.Context,
    *,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="An operation, as `--list` prints it.", show_default=False)
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option("--path", metavar="NAME=VALUE", help="A value of the path; repeat.", rich_help_panel=_CALL),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option("--query", metavar="NAME=VALUE", help="A value of the query; repeat.", rich_help_panel=_CALL),
    ] = None,
    body: Annotated[
        str | None,
        typer.Option(
            "--body", metavar="JSON|@FILE|-", help="The body: JSON, a file, or standard input.", rich_help_panel=_CALL
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List all operations and end.")] = False,
    help_: Annotated[bool, typer.Option("--help", "-h", help="What NAME wants; without NAME, this text.")] = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Perform one operation of MRS and print its reply.

    It is sent once. A write whose reply was lost is reported as such (exit code 3) and never repeated.
    """
    if list_:
        _list(as_json=as_json)
        return
    if name is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(0 if help_ else run.Code.USAGE)

    wanted = _named(name)
    if help_:
        _explain(wanted)
        return

    logs.setup(level="ERROR")  # the error itself reports a failure
    reply = run.loop(
        _perform(
            _connection(settings.load(config), tenant),
            wanted,
            options.pairs(path, option="--path"),
            options.pairs(query, option="--query"),
            _body(body),
        )
    )

    found = reply.model_dump(mode="json", exclude_unset=True)
    typer.echo(json.dumps(found, indent=None if as_json else 2, ensure_ascii=False))


def _connection(found: settings.Settings, tenant: str | None) -> mrs_settings.MrsSettings:
    """Return the tenant's connection; a single connection serves every tenant."""
    names = {one.connection for one in found.tenancies}
    if tenant is None and len(names) == 1:
        return found.connection(names.pop())
    return found.connection(connect.chosen(found.tenancies, tenant).connection)


async def _perform(
    group: mrs_settings.MrsSettings,
    wanted: operation.AnyOperation,
    path: dict[str, str],
    query: dict[str, str],
    body: dict[str, Any] | None,
) -> base.Reply:
    from mrs_relay.mrs import client  # noqa: PLC0415 - see the imports above

    async with client.connected(group, clock.SystemClock()) as mrs:
        reply: base.Reply = await mrs.call(wanted, path=path, query=query or None, body=body)
        return reply


def _named(name: str) -> operation.AnyOperation:
    """
    Find the operation of that name, in any case.

    Raises:
        typer.BadParameter: there is none; names similar ones.
    """
    import difflib  # noqa: PLC0415 - for this error alone

    from mrs_relay.mrs.operations import registry  # noqa: PLC0415 - see the imports above

    by_lower = {known.lower(): known for known in registry.OPERATIONS}
    known = by_lower.get(name.lower())
    if known is None:
        close = [by_lower[one] for one in difflib.get_close_matches(name.lower(), by_lower, n=3)]
        hint = f"did you mean {' or '.join(close)}?" if close else "`mrs-relay call --list` names them all"
        raise typer.BadParameter(f"no operation {name!r}; {hint}", param_hint="NAME")
    return registry.OPERATIONS[known]


def _body(text: str | None) -> dict[str, Any] | None:
    """
    Read the body from the text, a file or standard input.

    Raises:
        typer.BadParameter: it is no JSON object, or the file cannot be read; shows no part of it.
    """
    if text is None:
        return None

    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = pathlib.Path(text[1:]).read_text(encoding="utf-8")
        text = text.removeprefix("\ufeff")  # a byte order mark
        found = json.loads(text, parse_float=codec.number, parse_constant=_no_number)
    except OSError as error:
        raise typer.BadParameter(f"{text[1:]} cannot be read: {error.strerror}", param_hint="--body") from None
    except UnicodeDecodeError:
        raise typer.BadParameter("not UTF-8 text", param_hint="--body") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise typer.BadParameter(f"not valid JSON: {error.msg} at {where}", param_hint="--body") from None
    except (ValueError, RecursionError):
        raise typer.BadParameter(
            "a number in it is too large, or it is nested too deeply", param_hint="--body"
        ) from None

    if not isinstance(found, dict):
        raise typer.BadParameter("must be a JSON object", param_hint="--body")
    return found


def _no_number(name: str) -> NoReturn:
    raise typer.BadParameter(f"not valid JSON: it has no {name}", param_hint="--body")


def _list(*, as_json: bool) -> None:
    from mrs_relay.mrs import reference  # noqa: PLC0415 - see the imports above

    table = view.grid("operation", "safety", "path values")
    table.add_column("meaning", overflow="fold")
    for group, members in reference.operations():
        if not as_json:
            table.add_section()
            table.add_row(view.plain(group, "bold"), "", "", "")
        for one in members:
            if as_json:
                facts = {"name": one.name, "group": group, "verb": one.verb, "path": one.path}
                typer.echo(json.dumps({**facts, "safety": one.safety.value, "summary": reference.summary(one)}))
            else:
                table.add_row(one.name, one.safety.value, ", ".join(one.fields), view.plain(reference.summary(one)))
    if not as_json:
        view.out().print(table)


def _explain(wanted: operation.AnyOperation) -> None:
    """Print the purpose and the parameters of an operation."""
    from mrs_relay.mrs import reference  # noqa: PLC0415 - see the imports above

    out = view.out()
    given = " ".join(
        [f"mrs-relay call {wanted.name}", *(f"--path {name}=…" for name in wanted.fields)]
        + (["[--query …]"] if wanted.query else [])
        + (["--body …"] if wanted.body else [])
    )
    budget = f"{wanted.per_minute} a minute" if wanted.per_minute else "no limit documented"
    out.print(view.plain(f"Usage: {given}\n", "bold"), soft_wrap=True)
    out.print(view.plain(reference.summary(wanted)), soft_wrap=True)
    for head, text in (
        ("Sent as", f"{wanted.verb} {wanted.path}"),
        ("Safety", wanted.safety.value),
        ("Budget", budget),
        ("Source", wanted.source),
    ):
        out.print(view.plain(f"  {head:<8} {text}"), soft_wrap=True)
    for head, option, model in (("Query", "--query", wanted.query), ("Body", "--body", wanted.body)):
        rows = reference.fields(model)
        if rows:
            out.print(view.plain(f"\n{head} ({option})", "bold"))
            out.print(_fields(rows))
    out.print(view.plain(f"\n{run.CODES}", "dim"), soft_wrap=True)


def _fields(rows: list[reference.Field]) -> Any:  # noqa: ANN401 - a table of rich
    table = view.grid("field", "must")
    for head in ("type", "limits", "meaning"):
        table.add_column(head, overflow="fold")
    for row in rows:
        cells = (row.name, "yes" if row.required else "", row.kind, row.limits, row.text)
        table.add_row(*map(view.plain, cells))
    return table
