"""
Three ways to show events as they arrive: a line each, a JSON text each, or one live table.

`opened` chooses; a table needs a terminal. The table is redrawn as a whole; the others print each event.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import typer
from rich import live, text

from mrs_relay.cli import request_table, view
from mrs_relay.messages import event_reader

_FRAME_LINES: Final = 7
_FEWEST_ROWS: Final = 5


class Lines:
    """Print one line for each change: for pipes, and for a single request."""

    def show(self, event: event_reader.ReadEvent, row: request_table.Row | None) -> None:  # noqa: ARG002 - the other screens use it
        """Show one event; `row` is None if the event changed nothing."""
        if row is not None:
            view.out().print(view.event_line(row), soft_wrap=True)

    def draw(self, seen: request_table.RequestTable, now_ms: int) -> None:
        """Draw the present state; called a few times a second."""

    def hint(self, words: str) -> None:
        """Show the user a message that is no event."""
        view.err().print(view.plain(words, "yellow"), soft_wrap=True)


class Json(Lines):
    """Print one event a line, nothing else; repeated events too."""

    def show(self, event: event_reader.ReadEvent, row: request_table.Row | None) -> None:  # noqa: ARG002 - for programs, all events
        """Print the event in CloudEvents' JSON format."""
        typer.echo(event.as_json())

    def hint(self, words: str) -> None:
        """Drop the hint: programs get none."""


class Table(Lines):
    """Draw a live table with the newest change on top."""

    def __init__(self, title: str, display: live.Live) -> None:
        self._title = title
        self._display = display

    def show(self, event: event_reader.ReadEvent, row: request_table.Row | None) -> None:
        """Do nothing: `draw` redraws the whole table."""

    def draw(self, seen: request_table.RequestTable, now_ms: int) -> None:
        """Draw as many rows as the terminal has room for."""
        width, height = self._display.console.size
        title = text.Text(f"{self._title}  ").append(view.counts(seen.counts()))
        most = max(height - _FRAME_LINES, _FEWEST_ROWS)
        table = view.watch_table(seen.rows(), now_ms=now_ms, title=title, width=width, most=most)
        self._display.update(table, refresh=True)

    def hint(self, words: str) -> None:
        """Print the hint above the table."""
        self._display.console.print(view.plain(words, "yellow"))


@contextlib.contextmanager
def opened(title: str, *, as_json: bool, table: bool) -> Iterator[Lines]:
    """Open the screen: JSON if `as_json`, a table if wanted and standard output is a terminal, else lines."""
    console = view.out()
    if as_json:
        yield Json()
    elif table and console.is_terminal:
        with live.Live(console=console, auto_refresh=False) as display:
            yield Table(title, display)
    else:
        yield Lines()
