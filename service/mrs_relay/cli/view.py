"""
Make rich tables and lines from plain values; no function here reads Kafka or keeps state.

Text from messages or from MRS is never read as rich markup.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich import box, console, table, text

from mrs_relay.cli import request_table, table_layout
from mrs_relay.common import clock
from mrs_relay.messages import events

STYLES: Final[Mapping[str, str]] = {
    "accepted": "cyan",
    "queued": "cyan",
    "submitting": "blue",
    "submitted": "blue",
    "running": "yellow",
    "progress": "yellow",
    "collecting": "yellow",
    "succeeded": "green",
    "failed": "bold red",
    "rejected": "bold magenta",
    "cancelled": "dim",
    "doubtful": "bold yellow",
    "unknown": "bold red reverse",
}
"""The colour of each state, of events and of the ledger."""

_PIPE_WIDTH: Final = 160
_CELL_CHARACTERS: Final = 60
_ID_CHARACTERS: Final = 16
_BAR_CHARACTERS: Final = 10
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


def out() -> console.Console:
    """Return standard output; wide enough for whole ids if it is no terminal."""
    return console.Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def err() -> console.Console:
    """Return standard error, for text that scripts should not read."""
    return console.Console(stderr=True, width=None if sys.stderr.isatty() else _PIPE_WIDTH, highlight=False)


def plain(words: object, style: str = "") -> text.Text:
    """Make text without markup; control characters are made visible."""
    shown = "".join(letter if letter.isprintable() or letter in "\n\t" else "�" for letter in str(words))
    return text.Text(shown, style=style)


def state(name: str) -> text.Text:
    """Make the text of a state in its colour."""
    return text.Text(name, style=STYLES.get(name, ""))


def age(seconds: float) -> str:
    """Format a duration in at most five characters: 0.4s, 12s, 3m04s, 2h05m, 3d."""
    if seconds < 10:  # noqa: PLR2004 - tenths matter below ten seconds
        return f"{max(seconds, 0.0):.1f}s"
    whole = int(seconds)
    if whole < _MINUTE_S:
        return f"{whole}s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m{whole % _MINUTE_S:02d}s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S}h{whole % _HOUR_S // _MINUTE_S:02d}m"
    return f"{whole // _DAY_S}d"


def clock_time(epoch_ms: int) -> str:
    """Format a moment as local time of day; "" for a number that is no moment."""
    if not clock.is_moment(epoch_ms):
        return ""
    return dt.datetime.fromtimestamp(epoch_ms / 1000, tz=dt.UTC).astimezone().strftime("%H:%M:%S")


def counts(numbers: Mapping[str, int]) -> text.Text:
    """Format the counts of all states on one line, in the order of a job's life."""
    parts = [text.Text.assemble((f"{numbers[name]} ", "bold"), state(name)) for name in STYLES if numbers.get(name)]
    return text.Text("  ").join(parts) if parts else text.Text("nothing yet", style="dim")


def grid(*heads: str) -> table.Table:
    """Make a small table in the common style; for tables that must fit a terminal see `table_layout`."""
    made = table.Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for head in heads:
        made.add_column(head, no_wrap=True, overflow="ellipsis")
    return made


def titled(title: str | text.Text, body: table.Table, footer: str = "") -> console.Group:
    """Put a table between its title and a footer, which rich itself would wrap at the table's width."""
    head = plain(title, "bold") if isinstance(title, str) else title
    return console.Group(*((head,) if head else ()), body, *((plain(footer, "dim"),) if footer else ()))


def watch_table(
    rows: Sequence[request_table.Row], *, now_ms: int, title: text.Text, width: int, most: int
) -> console.Group:
    """Draw the live table: the newest change on top, at most `most` rows, at most `width` characters."""
    shown = rows[:most]
    made = table_layout.fitted(
        [
            table_layout.Column("request", [plain(row.key[1]) for row in shown]),
            table_layout.Column("type", [row.subject for row in shown], drop=2),
            table_layout.Column("state", [state(row.state) for row in shown]),
            table_layout.Column("progress", [bar(row) for row in shown], drop=1),
            table_layout.Column("cluster", [short(row.cluster) for row in shown], drop=4),
            table_layout.Column("MRS id", [short(row.job_id) for row in shown], drop=3),
            table_layout.Column("age", [age(lasted_s(row, now_ms)) for row in shown]),
        ],
        table_layout.Column("reason", [plain(row.reason) for row in shown]),
        width,
    )

    return titled(title, made, f"… and {len(rows) - most} more" if len(rows) > most else "")


def lasted_s(row: request_table.Row, now_ms: int) -> float:
    """Return the seconds from a request's first event to its last, or to now until it has ended."""
    return ((row.changed_ms if row.ended else now_ms) - row.seen_ms) / 1000


def short(name: str) -> text.Text:
    """Shorten an id to a beginning that distinguishes it from other ids."""
    return plain(name if len(name) <= _ID_CHARACTERS else name[: _ID_CHARACTERS - 1] + "…")


def bar(row: request_table.Row) -> text.Text:
    """Draw progress as a bar: as MRS reports it for a running request, full for a succeeded one."""
    share = 100.0 if row.state == "succeeded" else (row.progress or 0.0) if row.state == "running" else 0.0
    if not share:
        return text.Text("")
    done = round(share / 100 * _BAR_CHARACTERS)
    return text.Text.assemble(("█" * done, STYLES.get(row.state, "")), ("░" * (_BAR_CHARACTERS - done), "dim"))


def event_line(row: request_table.Row) -> text.Text:
    """Format one change on one line, for output that is no terminal."""
    facts = [
        f"{row.progress:.0f}%" if row.progress is not None and row.state == "running" else "",
        f"MRS {row.job_id}" if row.job_id else "",
        row.reason,
    ]
    return text.Text.assemble(
        f"{clock_time(row.changed_ms)}  ",
        (f"{row.state:<10}", STYLES.get(row.state, "")),
        " ",
        plain(row.key[1]),
        *(part for fact in facts if fact for part in ("  ", plain(fact))),
    )


def result(found: events.Result, *, name: str, most: int = 20) -> Iterable[console.RenderableType]:
    """Draw the rows of every statement, the location of stored rows, or the reason why there are none."""
    for number, statement in enumerate(found.statements, start=1):
        of = f", statement {number} of {len(found.statements)}" if len(found.statements) > 1 else ""
        try:
            names, rows = _read_rows(statement)
        except ImportError as error:
            yield text.Text.assemble(f"{name}{of}: {statement.row_count} rows as Arrow: ", plain(error, "yellow"))
            continue
        yield rows_table(rows, title=f"{name}{of}", row_count=statement.row_count, most=most, names=names)

    if found.truncated:
        yield text.Text("Rows were left out of the event: the result is larger than the inline limit.", style="yellow")
    if found.location:
        yield text.Text.assemble("Rows: ", plain(found.location, "bold"))
    if found.url:
        yield text.Text.assemble(f"Until {found.url_expires_at}, without keys: ", plain(found.url))
    if found.unavailable:
        yield text.Text.assemble("No rows: ", plain(found.unavailable, "yellow"))


def _read_rows(statement: events.StatementResult) -> tuple[Sequence[str], Sequence[Any]]:
    """Return the names of the columns, none where the rows have them, and the rows, also of CSV or Arrow."""
    if statement.arrow is not None:
        from mrs_relay.client import arrow  # noqa: PLC0415 - most results need no client

        table = arrow.of_base64(statement.arrow)
        return table.column_names, list(arrow.rows(table))
    names = [column.name for column in statement.columns]
    if statement.csv is None:
        return names, statement.rows
    lines = list(csv.reader(io.StringIO(statement.csv)))
    return (names, lines[1:]) if names else ((), lines)


def rows_table(
    rows: Sequence[Any], *, title: str, row_count: int | None = None, most: int = 20, names: Sequence[str] = ()
) -> console.Group:
    """
    Draw the rows of a statement (objects or lists) as a table; numbers are aligned right.

    Args:
        rows: of the statement.
        title: above them.
        row_count: of all rows; None: these are all.
        most: rows that are drawn.
        names: of the columns of rows that are lists; without them the columns are numbered.
    """
    total = len(rows) if row_count is None else row_count
    made = grid()
    heads = names or _names(rows)
    for position, name in enumerate(heads):
        numeric = all(_is_number(_cell(row, name, position)) for row in rows) and bool(rows)
        made.add_column(plain(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows[:most]:
        made.add_row(*(plain(_short(_cell(row, name, position))) for position, name in enumerate(heads)))
    shown = min(len(rows), most)
    footer = f"{total} row{'' if total == 1 else 's'}" + (f", the first {shown} shown" if shown < total else "")
    return titled(title, made, footer)


def _names(rows: Sequence[Any]) -> list[str]:
    first = rows[0] if rows else None
    if isinstance(first, Mapping):
        return [str(name) for name in dict.fromkeys(name for row in rows if isinstance(row, Mapping) for name in row)]
    if isinstance(first, Sequence) and not isinstance(first, str):
        return [str(number) for number in range(1, max(len(row) for row in rows) + 1)]
    return ["value"] if rows else []


def _cell(row: Any, name: str, position: int) -> Any:  # noqa: ANN401 - a cell is any JSON value
    if isinstance(row, Mapping):
        return row.get(name)
    if isinstance(row, Sequence) and not isinstance(row, str):
        return row[position] if position < len(row) else None
    return row


def _is_number(cell: Any) -> bool:  # noqa: ANN401 - the same
    if isinstance(cell, bool):
        return False
    if isinstance(cell, int | float):
        return True
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _short(cell: Any) -> str:  # noqa: ANN401 - the same
    shown = "" if cell is None else str(cell)
    return shown if len(shown) <= _CELL_CHARACTERS else shown[: _CELL_CHARACTERS - 1] + "…"
