"""
Make Arrow IPC streams of rows that are CSV text; the only module of the relay that imports pyarrow (extra `arrow`).

All functions but `is_installed` are for a thread: the first one takes half a second to load the library, the others
some milliseconds for each MiB. The streams have no compression and no metadata, so equal rows give equal bytes.
"""

from __future__ import annotations

import codecs
import csv
import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mrs_relay import errors
from mrs_relay.common import csv_text, native_modules
from mrs_relay.engine.work import column_types

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

_NATIVE: Final = (("numpy", "_core/_multiarray_umath"), ("pyarrow", "lib"), ("pyarrow", "_csv"))
"""Packages and native modules of them whose libraries are large, some 80 MB; pyarrow imports numpy."""

_QUOTE: Final = b'"'
_LINE_END: Final = b"\n"


def is_installed() -> bool:
    """Return whether the extra is installed; nothing is loaded."""
    return importlib.util.find_spec("pyarrow") is not None


def load() -> None:
    """
    Load the library; the event loop runs on meanwhile, as what takes longest needs no interpreter.

    Raises:
        ObsRefused: it is not installed, as on a replica that takes a request over from one that has it.
    """
    for package, module in _NATIVE if "pyarrow.csv" not in sys.modules else ():
        native_modules.map_in(package, module)
    try:
        importlib.import_module("pyarrow.csv")
    except ImportError:
        raise errors.ObsRefused("this relay makes no Arrow: install mrs-relay[arrow], or ask for csv") from None


class Rows:
    """
    Rows of one CSV text, which comes in parts of whole rows.

    Args:
        has_header: the first row holds the names of the columns; otherwise they are column_1, column_2 and so on.
        kinds: types of the columns, with NULL as an empty text without quotes; None: all are text, and nothing is NULL.
    """

    def __init__(self, *, has_header: bool, kinds: Sequence[column_types.Kind] | None) -> None:
        self._awaits_header = has_header
        self._kinds = kinds
        self._is_first = True
        self._names: list[str] = []

    def add(self, text: bytes) -> pa.RecordBatch:
        """
        Return the rows of the next part; none in it: their columns.

        Raises:
            ObsRefused: a row has another number of values than the first, or a value that does not fit its type.
        """
        text = _readable(text.removeprefix(codecs.BOM_UTF8) if self._is_first else text)
        if self._is_first:
            self._is_first = False
            end = _row_end(text)
            self._names = _first_row(text[:end]) if text else []
            if self._awaits_header:
                text = text[end:]
            else:
                self._names = csv_text.column_names(len(self._names))
        return self._batch(text)

    def _batch(self, text: bytes) -> pa.RecordBatch:
        import pyarrow as pa  # noqa: PLC0415 - only where Arrow is asked for

        texts: list[column_types.Kind] = ["text"] * len(self._names)
        kinds = self._kinds or texts
        if len(kinds) != len(self._names):
            raise errors.ObsRefused("the columns of the rows changed while they were read")
        types = [_types()[kind] for kind in kinds]
        schema = pa.schema(list(zip(self._names, types, strict=True)))
        if not text:
            return _none(schema)
        arrays = _read(text, types, has_null=self._kinds is not None)
        return pa.record_batch(arrays, schema=schema)


def stream(batch: pa.RecordBatch) -> bytes:
    """Return an Arrow IPC stream of its rows."""
    import pyarrow as pa  # noqa: PLC0415 - only where Arrow is asked for

    sink = pa.BufferOutputStream(pa.system_memory_pool())
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def streams(batch: pa.RecordBatch, most_bytes: int) -> Iterator[bytes]:
    """
    Yield streams of some rows, in order, none of which is longer than `most_bytes`.

    Raises:
        ObsRefused: a row alone is.
    """
    made = stream(batch)
    if len(made) <= most_bytes:
        yield made
        return
    if batch.num_rows <= 1:
        text = f"a row has {len(made)} bytes as Arrow; at most {most_bytes} fit into a record: ask for csv"
        raise errors.ObsRefused(text)
    half = batch.num_rows // 2
    yield from streams(batch.slice(0, half), most_bytes)
    yield from streams(batch.slice(half), most_bytes)


def beginning(batch: pa.RecordBatch, most_bytes: int) -> tuple[bytes, int]:
    """Return a stream of as many of the first rows as fit, and their number; no bytes: not even the columns do."""
    whole = stream(batch)
    if len(whole) <= most_bytes:
        return whole, batch.num_rows

    # NB: a slice of no rows is written with the content of all.
    fits, fits_not, found = 0, batch.num_rows, stream(_none(batch.schema))
    if len(found) > most_bytes:
        return b"", 0

    while fits_not - fits > 1:
        middle = (fits + fits_not) // 2
        made = stream(batch.slice(0, middle))
        if len(made) <= most_bytes:
            fits, found = middle, made
        else:
            fits_not = middle

    return found, fits


def _none(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa  # noqa: PLC0415 - only where Arrow is asked for

    return pa.record_batch([pa.array([], one) for one in schema.types], schema=schema)


@functools.cache
def _types() -> Mapping[column_types.Kind, Any]:
    import pyarrow as pa  # noqa: PLC0415 - only where Arrow is asked for

    return {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "text": pa.string()}


def _read(text: bytes, types: Sequence[Any], *, has_null: bool) -> list[Any]:
    import pyarrow as pa  # noqa: PLC0415 - only where Arrow is asked for
    from pyarrow import csv as pa_csv  # noqa: PLC0415 - the same

    places = [str(at) for at in range(len(types))]  # names may stand there twice
    try:
        table = pa_csv.read_csv(
            pa.py_buffer(text),
            pa_csv.ReadOptions(column_names=places, use_threads=False, block_size=len(text) + 1),
            pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            pa_csv.ConvertOptions(
                column_types=dict(zip(places, types, strict=True)),
                null_values=[""],
                strings_can_be_null=has_null,
                quoted_strings_can_be_null=False,
                true_values=["true"],
                false_values=["false"],
            ),
            pa.system_memory_pool(),  # the library's own keeps what each thread has used
        )
    except pa.ArrowInvalid:
        # NB: its text quotes the row.
        raise errors.ObsRefused(
            "a row has another number of values than the first one, or a value of another type: ask for csv"
        ) from None
    return [column.combine_chunks() for column in table.columns]


def _readable(text: bytes) -> bytes:
    """Return the text with each byte that is no UTF-8 replaced, as in all other formats."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="replace").encode()
    return text


def _row_end(text: bytes) -> int:
    """Return where the first row ends: behind the first line end that is not within quotes."""
    end = 0
    while end := text.find(_LINE_END, end) + 1:
        if text.count(_QUOTE, 0, end) % 2 == 0:
            return end
    return len(text)


def _first_row(text: bytes) -> list[str]:
    try:
        [row] = csv_text.rows([text.decode()])
    except (csv.Error, ValueError):
        raise errors.ObsRefused("the first row of the rows cannot be read") from None
    return row or [""]
