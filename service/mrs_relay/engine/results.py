"""Rows for events: how much of a result goes into an event, and in which form. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mrs_relay.messages import codec, events


def inline(statements: Sequence[Sequence[Any]], most_bytes: int) -> events.Result:
    """
    Put rows into a result, statement by statement, as long as they fit into `most_bytes` bytes of JSON.

    What does not fit is left out from the first row on that is too much, and `truncated` says so; `row_count` always
    tells how many rows there were.
    """
    room = most_bytes
    cut = False
    told = []
    for rows in statements:
        kept: list[Any] = []
        for row in rows:
            size = len(codec.encode(row)) + 1
            if cut or size > room:
                cut = True
                break
            room -= size
            kept.append(row)
        told.append(events.StatementResult(rows=kept, row_count=len(rows)))
    return events.Result(statements=told, truncated=cut)
