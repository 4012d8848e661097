"""Read rows that are a JSON object a line, as engines write them to a folder, and write them as CSV. Pure."""

from __future__ import annotations

import json
from typing import Any

from mrs_relay import errors
from mrs_relay.messages import codec


class JsonLines:
    """
    Lines of one folder, in order.

    Attributes:
        columns: names of the first row; None: there was none yet.
    """

    def __init__(self) -> None:
        self.columns: list[str] | None = None
        self._known: set[str] = set()
        self._number = 0

    def read(self, line: bytes, number: int) -> dict[str, Any]:
        """
        Return a row; values stay as the engine wrote them, numbers with all their digits.

        Args:
            line: without its line break.
            number: of the row in the folder, for the error.

        Raises:
            ObsRefused: it cannot be read, or two columns have the same name. `values` and `csv` raise it for a value
            of a column that the first row does not have: Spark before version 3.0 leaves NULL out.
        """
        try:
            row = codec.decode(line)
        except errors.BadMessage as error:
            raise errors.ObsRefused(f"row {number} of the folder is no JSON: {error.message}"[:300]) from None
        if not isinstance(row, dict):
            raise errors.ObsRefused(f"row {number} of the folder is no JSON object")
        if self.columns is None:
            if (twice := _twice(line)) is not None:
                text = f"two columns have the name {twice[:60]!r}; give each one a name of its own with AS"
                raise errors.ObsRefused(text)
            self.columns = list(row)
            self._known = set(row)
        self._number = number
        return row

    def add_columns(self, row: dict[str, Any]) -> None:
        """Add columns that rows before this one have left out; not after `header`."""
        added = [name for name in row if name not in self._known]
        if self.columns is not None and added:
            self.columns += added
            self._known.update(added)

    def values(self, row: dict[str, Any]) -> list[Any]:
        """Return the values of the row that was read last, in the order of the columns; None where it has none."""
        if not row.keys() <= self._known:
            name = next(name for name in row if name not in self._known)
            text = f"row {self._number} of the folder has the column {name[:60]!r}, which the first row leaves out"
            raise errors.ObsRefused(f"{text}: NULL is missing there; take the rows as objects, or give each a value")
        return [row.get(name) for name in self.columns or []]

    def header(self) -> str:
        """Return the names of the columns as a line of CSV."""
        return ",".join(map(_cell, self.columns or [])) + "\n"

    def csv(self, row: dict[str, Any]) -> str:
        """Return the row that was read last as a line of CSV."""
        return ",".join(map(_cell, self.values(row))) + "\n"


def _cell(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a value of a CSV text: nothing for NULL, and quotation marks where the value needs them."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else codec.encode(value).decode()
    if text and not any(one in text for one in '",\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def _twice(line: bytes) -> str | None:
    """Return a name that stands twice in a row; None: there is none."""
    seen: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        seen[:] = [name for name, _ in pairs]  # that of the outermost object is the last one

    try:
        json.loads(line, object_pairs_hook=note)
    except (ValueError, RecursionError):
        return None
    return next((name for at, name in enumerate(seen) if name in seen[:at]), None)
