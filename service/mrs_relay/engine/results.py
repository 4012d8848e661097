"""Rows for events: how much of a result goes into an event, and in which form. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def in_order(by_index: Mapping[str, Sequence[Any]], skip: int) -> list[Sequence[Any]]:
    """
    The statements' rows in the order of the statements, without the first `skip`.

    Source: ShowSqlResultWithJob, sql_results: a map from the statement's index as text to its rows.
    """
    ordered = sorted(by_index, key=lambda index: (not index.isdigit(), int(index) if index.isdigit() else 0, index))
    return [by_index[index] for index in ordered][skip:]
