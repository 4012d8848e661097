"""
Three ways to show changes as they come: a line each, a JSON text each, or one live table.

`opened` chooses; a table needs a terminal. What is drawn is a board; what is printed is the event or its line.
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
    """One line a change: for pipes, and for a single request."""

    def show(self, event: event_reader.ReadEvent, row: request_table.Row | None) -> None:  # noqa: ARG002 - the other screens use it
        """Tell one event; `row` is None when it brought nothing new."""
        if row is not None:
            view.out().print(view.event_line(row), soft_wrap=True)

    def draw(self, seen: request_table.RequestTable, now_ms: int) -> None:
        """Draw all as it stands; called a few times a second."""

    def hint(self, words: str) -> None:
        """Tell the person something that is no event."""
        view.err().print(view.plain(words, "yellow"), soft_wrap=True)


class Json(Lines):
    """One event a line, nothing else; repeated events too."""

    def show(self, event: event_reader.ReadEvent, row: request_table.Row | None) -> None:  # noqa: ARG002 - for programs, all events
        """Print the event in CloudEvents' JSON format."""
        typer.echo(event.as_json())

    def hint(self, words: str) -> None:
        """Programs get no hints."""


class Table(Lines):
    """A live table in which the newest change stands on top."""

    def __init__(self, title: str, display: live.Live) -> None:
        self._title = title
        self._display = display

    def show(self, event: event_reader.ReadEvent, row: request_table.Row | None) -> None:
        """Nothing by itself: the table is drawn as a whole."""

    def draw(self, seen: request_table.RequestTable, now_ms: int) -> None:
        """Draw as many rows as the terminal has room for."""
        width, height = self._display.console.size
        title = text.Text(f"{self._title}  ").append(view.counts(seen.counts()))
        most = max(height - _FRAME_LINES, _FEWEST_ROWS)
        table = view.watch_table(seen.rows(), now_ms=now_ms, title=title, width=width, most=most)
        self._display.update(table, refresh=True)

    def hint(self, words: str) -> None:
        """Print above the table."""
        self._display.console.print(view.plain(words, "yellow"))


@contextlib.contextmanager
def opened(title: str, *, as_json: bool, table: bool) -> Iterator[Lines]:
    """The screen that fits: JSON if asked for, a table if wanted and standard output is a terminal, else lines."""
    console = view.out()
    if as_json:
        yield Json()
    elif table and console.is_terminal:
        with live.Live(console=console, auto_refresh=False) as display:
            yield Table(title, display)
    else:
        yield Lines()
