"""Put rows and replies into an event's result, as far as they fit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mrs_relay.engine import redaction
from mrs_relay.messages import codec, events
from mrs_relay.mrs.models import base


def inline(statements: Sequence[Sequence[Any]], most_bytes: int) -> events.Result:
    """
    Put rows into a result, statement by statement, as long as they fit into `most_bytes` bytes of JSON.

    The first row that does not fit and all rows after it are left out, and `truncated` is set. `row_count` is always
    the number of all rows.
    """
    room = most_bytes
    cut = False
    results = []
    for rows in statements:
        kept: list[Any] = []
        for row in rows:
            size = len(codec.encode(row)) + 1
            if cut or size > room:
                cut = True
                break
            room -= size
            kept.append(row)
        results.append(events.StatementResult(rows=kept, row_count=len(rows)))

    return events.Result(statements=results, truncated=cut)


def reply(answer: base.Reply, most_bytes: int) -> events.Result:
    """
    Put MRS's reply to a call into a result, in the API's own names, as long as it fits into `most_bytes` of JSON.

    Values that never appear in events (arguments, properties, SQL text, secrets) are left out.
    """
    body = _without_secrets(answer.model_dump(mode="json", by_alias=True, exclude_unset=True))
    size = len(codec.encode(body))
    if size > most_bytes:
        return events.Result(
            truncated=True, unavailable=f"the reply has {size} bytes; at most {most_bytes} fit into an event"
        )
    return events.Result(reply=body)


def _without_secrets(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _without_secrets(inner) for name, inner in value.items() if not redaction.is_hidden(name, inner)}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value
