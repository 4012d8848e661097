"""
Tables that fit a width: the least important columns are dropped before a cell becomes unreadable.

rich itself would narrow all columns alike until short ones vanish.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from rich import box, table, text

_GAP: Final = 3
_LEAST_REST: Final = 16

Cell = text.Text | str


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """
    One column.

    Attributes:
        head: its heading.
        cells: a cell for each row, on one line.
        drop: 0 keeps it; of the others the highest is dropped first if there is no room.
    """

    head: str
    cells: Sequence[Cell]
    drop: int = 0

    @property
    def width(self) -> int:
        """The width of its widest cell, in characters."""
        return max(
            len(self.head),
            *(text.Text(cell).cell_len if isinstance(cell, str) else cell.cell_len for cell in self.cells),
            0,
        )


def fitted(columns: Sequence[Column], rest: Column, width: int) -> table.Table:
    """
    Lay out a table of at most `width` characters.

    Args:
        columns: in their order.
        rest: the last column, which gets the remaining room and ends with an ellipsis; left out when empty.
        width: characters available.
    """
    shown = list(columns)
    filled = any(str(cell) for cell in rest.cells)
    least = min(rest.width, _LEAST_REST) + _GAP if filled else 0
    while _width(shown) + least > width and (droppable := [one for one in shown if one.drop]):
        shown.remove(max(droppable, key=lambda one: one.drop))
    made = table.Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for one in shown:
        made.add_column(one.head, no_wrap=True, overflow="ellipsis")
    if filled:
        made.add_column(rest.head, no_wrap=True, overflow="ellipsis", max_width=max(width - _width(shown) - _GAP, 1))
        shown.append(rest)
    for number in range(len(rest.cells)):
        made.add_row(*(one.cells[number] for one in shown))
    return made


def _width(columns: Sequence[Column]) -> int:
    return sum(one.width for one in columns) + _GAP * (len(columns) - 1)
