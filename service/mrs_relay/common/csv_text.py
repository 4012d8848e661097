"""Read CSV with values of any length. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Final

_LONGEST: Final = 2**31 - 1
"""Of a value, in characters; the reader's own limit is 131,072."""


def rows(lines: Iterable[str]) -> list[list[str]]:
    """
    Return all rows of some lines; the limit that the process has set for others stays.

    Raises:
        csv.Error: they cannot be read.
    """
    before = csv.field_size_limit(_LONGEST)
    try:
        return list(csv.reader(lines))
    finally:
        csv.field_size_limit(before)


def column_names(width: int) -> list[str]:
    """Return names for columns that have none: column_1, column_2 and so on."""
    return [f"column_{number}" for number in range(1, width + 1)]
