"""`mrs-relay settings`: every setting with its variable, default and meaning."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from mrs_relay import settings
from mrs_relay.cli import options, view
from mrs_relay.messages import codec


def show(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[WORD]...", help="Only settings with these words in name or meaning.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """
    List all settings: name, environment variable, default, meaning.

    The variable of a setting wins over the file given with --config.
    """
    wanted = [word.lower() for word in words or ()]
    rows = [
        row
        for row in settings.describe()
        if all(word in f"{row.name} {row.variable} {row.text}".lower() for word in wanted)
    ]

    if as_json:
        for row in rows:
            typer.echo(codec.encode(dataclasses.asdict(row)))
        return

    table = view.grid("setting and variable", "default")
    table.add_column("meaning", overflow="fold")
    for row in rows:
        name = view.plain(row.name, "bold").append(f"\n{row.variable}", style="dim")
        table.add_row(name, view.plain(row.default), view.plain(row.text))
        table.add_section()
    view.out().print(table)
