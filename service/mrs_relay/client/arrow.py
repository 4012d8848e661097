"""
Make Arrow tables of rows that come as text or objects, and rows of Arrow; the only module of the client with pyarrow.

`rows` calls it where a result is Arrow, or a caller wants it so (extra `arrow`).
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mrs_relay.client import failures
from mrs_relay.common import csv_text

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

_EXTRA: Final = "install the extra `arrow`: pip install 'mrs-relay[arrow]'"


def library() -> Any:  # noqa: ANN401 - the module, which ships no types
    """
    Return pyarrow.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - only for those who want it
    except ImportError as error:
        raise ImportError(f"pyarrow is not installed; {_EXTRA}") from error
    return pa


def of_stream(stream: bytes) -> pa.Table:
    """
    Return the rows of an Arrow IPC stream; none for no bytes at all.

    Raises:
        RowsMissing: it is none. ImportError: pyarrow is not installed.
    """
    pa = library()
    if not stream:
        return pa.table({})
    try:
        return pa.ipc.open_stream(stream).read_all()
    except pa.ArrowInvalid as error:
        raise failures.RowsMissing(f"the rows are no Arrow IPC stream: {error}") from error


def of_base64(text: str) -> pa.Table:
    """Return the rows of a stream as it stands in an event; raises like `of_stream`."""
    try:
        stream = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise failures.RowsMissing(f"the rows are no Arrow IPC stream in base64: {error}") from error
    return of_stream(stream)


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """Return one table of those of all chunks."""
    pa = library()
    return pa.concat_tables(tables) if tables else pa.table({})


def rows(table: pa.Table) -> Iterator[list[Any]]:
    """Yield the rows of a table as lists; columns may have the same name."""
    columns = [column.to_pylist() for column in table.columns]
    yield from map(list, zip(*columns, strict=True))


def of_csv(text: io.BytesIO, names: list[str], *, has_header: bool) -> pa.Table:
    """Return the rows of a CSV text; all columns are text, as CSV has no types."""
    pa = library()
    from pyarrow import csv as pa_csv  # noqa: PLC0415 - only for those who want it

    reading = pa_csv.ReadOptions(column_names=names, skip_rows=0, use_threads=True)
    parsing = pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    types = pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    table = pa_csv.read_csv(text, read_options=reading, parse_options=parsing, convert_options=types)
    return table.slice(1) if has_header else table


def of_rows(rows: Sequence[Any], columns: Sequence[str]) -> pa.Table:
    """Return rows of an event, objects or lists; `columns`: the names of lists' columns, as far as they are known."""
    pa = library()
    if rows and isinstance(rows[0], Mapping):
        keys = dict.fromkeys(name for row in rows for name in row)  # Spark before 3.0 leaves NULL out
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in keys})
    width = len(rows[0]) if rows else len(columns)
    names = columns if len(columns) == width else csv_text.column_names(width)
    return pa.table({name: _column(pa, [row[at] for row in rows]) for at, name in enumerate(names)})


def _column(pa: Any, values: list[Any]) -> Any:  # noqa: ANN401 - pyarrow is optional
    """Return a column: text of Presto; values of Hive have the type that they share."""
    is_text = all(value is None or isinstance(value, str) for value in values)
    return pa.array(values, pa.string() if is_text else None)
