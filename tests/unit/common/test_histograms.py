"""Which durations of requests become exemplars."""

from __future__ import annotations

import pytest

from mrs_relay.common import histograms

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (f"00-{_TRACE}-00f067aa0ba902b7-01", _TRACE),
        (f"01-{_TRACE}-00f067aa0ba902b7-01-more", _TRACE),
        (f"00-{'4' * 200}-00f067aa0ba902b7-01", None),
        ("00-geheim-00f067aa0ba902b7-01", None),
        (None, None),
    ],
)
def test_an_exemplar_has_the_id_of_a_trace_and_nothing_else(traceparent: str | None, trace_id: str | None) -> None:
    """A sender may write anything as its `traceparent`; readers of OpenMetrics refuse exemplars of over 128 letters."""
    seen = histograms.Histogram()
    seen.add_traced(0.1, traceparent, 1_000)
    assert [one.trace_id for one in seen.exemplars.values()] == ([] if trace_id is None else [trace_id])
    assert sum(seen.counts) == 1
