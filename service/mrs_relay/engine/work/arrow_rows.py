"""Put rows into an event as Arrow: an IPC stream in base64, as far as it fits."""

from __future__ import annotations

import base64
from typing import Final

from mrs_relay.engine.work import arrow_stream
from mrs_relay.messages import events

TIMES_AS_LONG: Final = 2
"""So many times as many bytes of CSV are kept: with quotation marks it may be longer than Arrow in base64."""


def made(read: events.Result, rows: arrow_stream.Rows, max_bytes: int) -> events.Result:
    """
    Return a result whose rows, a CSV text, are Arrow; for a thread.

    Args:
        read: the result, with up to `TIMES_AS_LONG` times as many bytes of text.
        rows: makes the rows of the text.
        max_bytes: that the rows take at most in the event.

    Raises:
        ObsRefused: the rows cannot be Arrow.
    """
    arrow_stream.load()
    [statement] = read.statements
    batch = rows.add((statement.csv or "").encode())
    stream, count = arrow_stream.beginning(batch, max_bytes // 4 * 3)
    text = base64.b64encode(stream).decode()
    shown = statement.model_copy(update={"csv": None, "arrow": text})
    return read.model_copy(
        update={"statements": [shown], "truncated": read.truncated or count < batch.num_rows or not stream}
    )
