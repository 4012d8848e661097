"""Spans that were recorded, as tests look at them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from opentelemetry.sdk import trace as sdk

from mrs_relay.traces import process, recorder

TRACE: Final = 0x4BF92F3577B34DA6A3CE929D0E0E4736
PRODUCER: Final = 0x00F067AA0BA902B7
TRACEPARENT: Final = f"00-{TRACE:032x}-{PRODUCER:016x}-01"


class Kept(sdk.SpanProcessor):
    """
    Keeps finished spans.

    Attributes:
        spans: in the order in which they were recorded.
        tracing: what to observe with.
    """

    def __init__(self, ratio: float = 1.0) -> None:
        self.spans: list[sdk.ReadableSpan] = []
        self.tracing = process.ProcessTracing(recorder.Recorder(self, ratio=ratio))

    def on_end(self, span: sdk.ReadableSpan) -> None:
        """Take a span."""
        self.spans.append(span)

    def named(self, name: str) -> list[sdk.ReadableSpan]:
        """Return the spans whose names begin so."""
        return [span for span in self.spans if span.name.startswith(name)]

    def one(self, name: str) -> sdk.ReadableSpan:
        """Return the only span whose name begins so."""
        (found,) = self.named(name)
        return found

    def of_trace(self, trace_id: int) -> list[sdk.ReadableSpan]:
        """Return the spans of one trace."""
        return [span for span in self.spans if ids(span)[0] == trace_id]


def ids(span: sdk.ReadableSpan) -> tuple[int, int]:
    """Return the ids of a span and its trace."""
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def parent(span: sdk.ReadableSpan) -> int | None:
    """Return the id of the span above it."""
    return None if span.parent is None else span.parent.span_id


def said(span: sdk.ReadableSpan) -> dict[str, Any]:
    """Return its attributes."""
    return dict(span.attributes or {})


def linked(span: sdk.ReadableSpan) -> list[int]:
    """Return the ids of the spans that it is linked to."""
    return [link.context.span_id for link in span.links]


def texts(spans: list[sdk.ReadableSpan]) -> Iterator[str]:
    """Yield all that spans say."""
    for span in spans:
        yield f"{span.name} {said(span)} {span.status.description}"
