"""Messages for the tests of this folder, and strategies that make more of them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

TOPIC = "mrs.requests"
CLUSTER = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"
HIDDEN = "hunter2-SELECT-hidden"
"""Stands where arguments, SQL and properties stand; must never come out in an error or an event."""


def job_data(**changes: object) -> dict[str, Any]:
    """Return valid data of a `mrs.job.submit`, with changes; a change to `...` takes the member away."""
    return _changed({"cluster": CLUSTER, "job": {"job_type": "SparkSubmit", "arguments": ["--class", "A"]}}, changes)


def sql_data(**changes: object) -> dict[str, Any]:
    """Return valid data of a `mrs.sql.submit`, with changes; a change to `...` takes the member away."""
    return _changed({"cluster": CLUSTER, "engine": "presto", "statement": "select 1"}, changes)


def message(data: object = ..., kind: str = "mrs.job.submit", **changes: object) -> dict[str, Any]:
    """Make a whole valid message in structured form, with changes; a change to `...` takes the member away."""
    members = {
        "specversion": "1.0",
        "id": "order-1",
        "source": "/billing",
        "type": kind,
        "data": job_data() if data is ... else data,
    }
    return _changed(members, changes)


def raw(value: object) -> bytes:
    """Write a value as JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def _changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if value is not ...}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
"""Any JSON value."""

_MEMBERS = ("specversion", "id", "source", "type", "data", "data_base64", "datacontenttype", "time", "traceparent")
_HEADERS = ("content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "CE_ID", "ce_datacontenttype", "x")

members = st.dictionaries(
    st.sampled_from(_MEMBERS) | st.text(max_size=8),
    st.sampled_from(["1.0", "mrs.job.submit", "mrs.sql.submit", "application/json", "a"]) | json_values,
)
"""JSON objects that look a little like messages."""

headers = st.lists(
    st.tuples(
        st.sampled_from(_HEADERS) | st.text(max_size=8),
        st.sampled_from([b"1.0", b"mrs.job.submit", b"application/json", b"application/cloudevents+json", b"\xff"])
        | st.binary(max_size=20)
        | st.none(),
    ),
    max_size=8,
).map(tuple)
"""Kafka headers that look a little like a message's."""
