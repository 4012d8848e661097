"""A dead letter keeps what came in, and says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.messages import events

_headers = st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8) | st.none()), max_size=5).map(tuple)


def _letter(
    key: bytes | None = b"k", value: bytes | None = b"v", headers: tuple[tuple[str, bytes | None], ...] = ()
) -> events.DeadLetter:
    return events.DeadLetter(
        key=key,
        value=value,
        headers=headers,
        code="unreadable_json",
        message="not valid JSON: é",
        topic="mrs.requests",
        partition=3,
        offset=17,
        timestamp_ms=1_795_420_800_000,
    )


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=200), _headers)
def test_key_value_and_headers_are_kept_to_the_byte(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...]
) -> None:
    """What is written starts with the original headers and holds the original key and value."""
    written_key, written_value, written_headers = _letter(key, value, headers).write()
    assert written_key == key
    assert written_value == (value or b"")
    assert written_headers[: len(headers)] == tuple((name, raw or b"") for name, raw in headers)
    assert all(name.startswith("mrs_relay_") for name, _ in written_headers[len(headers) :])


def test_reason_and_place_stand_in_headers() -> None:
    """Code, text, position and time stand in `mrs_relay_` headers, behind the original ones."""
    headers = (("mrs_relay_reason", b"of an earlier life"), ("content-type", b"x"))
    assert dict(_letter(headers=headers).write()[2]) == {
        "content-type": b"x",
        "mrs_relay_reason": b"unreadable_json",
        "mrs_relay_message": "not valid JSON: é".encode(),
        "mrs_relay_position": b"mrs.requests-3-17",
        "mrs_relay_timestamp_ms": b"1795420800000",
    }


@pytest.mark.parametrize(("value", "marked"), [(None, True), (b"", False), (b"x", False)])
def test_tombstone_is_told_from_an_empty_value(value: bytes | None, marked: bool) -> None:
    """A dead letter always has a value; a header says that the original had none."""
    headers = dict(_letter(value=value).write()[2])
    assert ("mrs_relay_no_value" in headers) is marked
