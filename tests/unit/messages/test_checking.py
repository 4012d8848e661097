"""Messages in files are judged as the relay would judge them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.messages import samples

from mrs_relay.messages import checking, codec, events, examples, reasons, registry

_EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/mrs-relay",
    "type": "mrs.job.accepted",
    "time": "2026-11-24T06:00:00.000Z",
    "subject": "order-1",
    "sequence": "0000000001",
    "data": {"request": {"id": "order-1", "source": "/b"}, "state": "accepted", "sequence": 1, "attempt": 0},
}


@pytest.mark.parametrize("kind", sorted(registry.REQUESTS))
def test_the_example_of_every_request_type_is_valid(kind: str) -> None:
    """There is one for each type; add it to `messages/examples.py`."""
    assert checking.check(codec.encode(examples.message(kind))) == [checking.Checked("", kind)]


def test_an_event_is_valid() -> None:
    """Events are known by their type."""
    assert checking.check(samples.raw(_EVENT)) == [checking.Checked("", "mrs.job.accepted")]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sequence": 1}, "sequence"),
        ({"subject": None}, "subject"),
        ({"data": None}, "data"),
        ({"data": {**_EVENT["data"], "sequence": 0}}, "data.sequence"),
        ({"data": {**_EVENT["data"], "state": "running"}}, "data.state"),
        ({"type": "mrs.job.done"}, "type"),
    ],
)
def test_an_event_that_is_wrong_is_reported_by_its_field(changes: dict[str, Any], field: str) -> None:
    """Attributes count as much as the data."""
    [checked] = checking.check(samples.raw({**_EVENT, **changes}))
    assert checked.problem is not None
    assert checked.field == field
    assert checked.code in reasons.CODES


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        (samples.message(samples.job_data(priority=10)), "bad_value", "data.priority"),
        (samples.message(samples.job_data(cluster=...)), "missing_field", "data.cluster"),
        (samples.message(kind="mrs.job.sumbit"), "unknown_type", "type"),
        (samples.message(id=""), "bad_id", "id"),
        (samples.message(specversion="0.3"), "bad_specversion", "specversion"),
        ([1], "not_an_object", None),
    ],
)
def test_a_request_that_is_wrong_is_reported_as_the_relay_tells_it(message: Any, code: str, field: str | None) -> None:
    """The same code and field as in a rejection event or a dead letter."""
    [checked] = checking.check(samples.raw(message if isinstance(message, dict) else [message]))
    assert (checked.code, checked.field) == (code, field)


def test_lines_and_lists_are_reported_by_their_place() -> None:
    """One JSON message a line, empty lines between them, or a list of messages."""
    good, bad = json.dumps(samples.message()), json.dumps(samples.message(id=7))
    lines = checking.check(f"{good}\n\n{bad}\n[1\n".encode())
    assert [(each.where, each.code) for each in lines] == [
        ("line 1", None),
        ("line 3", "bad_id"),
        ("line 4", "unreadable_json"),
    ]
    listed = checking.check(f"[{good}, {bad}]".encode())
    assert [(each.where, each.code) for each in listed] == [("message 1", None), ("message 2", "bad_id")]


@pytest.mark.parametrize("text", [b'{\n"id": "1",\n"type": }', b"\xff", b'{"id": NaN}', b'{\n"a":\n1'])
def test_one_broken_message_is_one_message(text: bytes) -> None:
    """A text over several lines that is no JSON is not taken for one message a line."""
    assert [(each.where, each.code) for each in checking.check(text)] == [("", "unreadable_json")]


def test_nothing_is_no_message() -> None:
    """An empty file holds none."""
    assert checking.check(b" \n") == []


def test_every_event_state_is_reported_by_some_type() -> None:
    """What the check knows as events is all that is written."""
    assert {kind.rpartition(".")[2] for kind in registry.EVENTS} == {*events.STATES, "result"}


def test_a_byte_order_mark_is_passed_over() -> None:
    """Some editors put one before a file's first message."""
    bom = b"\xef\xbb\xbf"
    assert [each.code for each in checking.check(bom + samples.raw(samples.message()))] == [None]
    assert [each.code for each in checking.check(bom + samples.raw([samples.message()]))] == [None]
    lines = bom + samples.raw(samples.message()) + b"\n" + samples.raw(samples.message(id=""))
    assert [(each.where, each.code) for each in checking.check(lines)] == [("line 1", None), ("line 2", "bad_id")]
