"""Records that leave with a commit: rows and dead letters within their limits, and the latest states."""

from __future__ import annotations

import dataclasses
import json

import pytest
from tests.unit.engine import fakes, samples, unit_bench

from mrs_relay.engine.model import facts
from mrs_relay.kafka import records
from mrs_relay.messages import event_reader, events


def test_dead_letter_alone_is_something_to_commit() -> None:
    """Without any job, a dead letter still has to be written."""
    bench = unit_bench.Bench()
    bench.read(samples.record(b"\xff"))
    assert not bench.unit.is_empty
    assert bench.unit.changes() == []


def test_rows_that_fit_are_sent() -> None:
    """An event within its topic's limit goes out as it is."""
    bench = unit_bench.Bench(samples.job("collecting"))
    bench.happen("collected")
    (sent,) = bench.unit.outgoing()
    assert event_reader.read(sent.value or b"", sent.headers).data.result == samples.ROWS


def test_rows_that_do_not_fit_are_left_out() -> None:
    """An event over its topic's limit goes out without rows, says so, and keeps their place."""
    rows = events.StatementResult(rows=["x" * 900], row_count=1)
    bench = unit_bench.Bench(samples.job("collecting"), limits={fakes.TOPICS.events: 1400})
    result = events.Result(
        statements=[rows], location="obs://b/x", url="https://o/x", url_expires_at="2026-11-30T08:00:00Z"
    )
    bench.happen(facts.ResultCollected(result))
    (sent,) = bench.unit.outgoing()

    assert records.size_bytes(sent.key, sent.value, sent.headers) <= 1400

    published = event_reader.read(sent.value or b"", sent.headers).data
    assert published.state == "succeeded"
    assert published.result is not None
    assert (published.result.statements, published.result.truncated, published.result.location) == (
        [],
        True,
        "obs://b/x",
    )
    assert (published.result.url, published.result.url_expires_at) == (result.url, result.url_expires_at)
    assert published.result.unavailable


def _letter_sent(record: records.Record, limit_bytes: int) -> records.Outgoing:
    bench = unit_bench.Bench(limits={fakes.TOPICS.dead_letters: limit_bytes})
    bench.read(record)
    (sent,) = bench.unit.outgoing()
    assert sent.topic == fakes.TOPICS.dead_letters
    assert records.size_bytes(sent.key, sent.value, sent.headers) <= limit_bytes
    return sent


@pytest.mark.parametrize("length", [0, 1, 100, 3000])
def test_dead_letter_within_the_limit_is_whole(length: int) -> None:
    """What fits is kept to the byte."""
    sent = _letter_sent(samples.record(b"\xff" * length, headers=(("h", b"1"),)), 10_000)
    assert (sent.key, sent.value, sent.headers[0]) == (b"k", b"\xff" * length, ("h", b"1"))
    assert not any(name.startswith("mrs_relay_cut") for name, _ in sent.headers)


@pytest.mark.parametrize("length", [600, 601, 700, 2000, 100_000])
def test_dead_letter_over_the_limit_keeps_its_beginning(length: int) -> None:
    """A value too long for the topic is cut at its end, as little as possible, and its length is reported."""
    value = (b"\xff" + bytes(range(256)) * 400)[:length]
    sent = _letter_sent(samples.record(value, headers=(("h", b"1"),)), 1000)
    assert sent.value is not None
    assert value.startswith(sent.value)
    shown = dict(sent.headers)
    assert shown["h"] == b"1"
    if sent.value != value:
        assert shown["mrs_relay_cut_from_bytes"] == str(length).encode()
        assert records.size_bytes(sent.key, sent.value, sent.headers) > 1000 - 64


def test_dead_letter_with_too_long_headers_keeps_the_value() -> None:
    """Headers that leave no room are left out, and their number is reported; key and value stay."""
    sent = _letter_sent(samples.record(b"\xff", headers=(("h", b"x" * 5000), ("i", b"y"))), 1000)
    assert (sent.key, sent.value) == (b"k", b"\xff")
    shown = dict(sent.headers)
    assert shown["mrs_relay_cut_headers"] == b"2"
    assert shown["mrs_relay_reason"] == b"unreadable_json"
    assert not {"h", "i"} & set(shown)


def test_dead_letter_with_too_long_key_keeps_the_value() -> None:
    """A key that leaves no room is left out, and its length is reported."""
    sent = _letter_sent(samples.record(b"\xff", key=b"x" * 5000), 1000)
    assert (sent.key, sent.value) == (None, b"\xff")
    assert dict(sent.headers)["mrs_relay_cut_key_bytes"] == b"5000"


_LATEST = dataclasses.replace(fakes.TOPICS, latest="mrs.latest")


def _latest(bench: unit_bench.Bench) -> dict[bytes | None, str | None]:
    sent = [one for one in bench.unit.outgoing() if one.topic == "mrs.latest"]
    assert len({one.key for one in sent}) == len(sent)
    return {one.key: json.loads(one.value)["state"] if one.value else None for one in sent}


def test_latest_state_of_each_request_is_written_once() -> None:
    """However much happens in a batch, the compacted topic gets one record for each request: its last event, whole."""
    bench = unit_bench.Bench(samples.job("submitting"), topics=_LATEST)
    bench.happen("taken", "running", "progressed")
    bench.read(samples.record(samples.message(id="other"), key=b"k"))
    assert _latest(bench) == {b"/billing order-1": "progress", b"/billing other": "accepted"}
    records_by_topic = {one.topic: one for one in bench.unit.outgoing() if b"progress" in (one.value or b"")}
    published, kept = records_by_topic["mrs.events"], records_by_topic["mrs.latest"]
    assert (kept.value, kept.headers) == (published.value, published.headers)


def test_latest_states_are_not_written_unless_wanted() -> None:
    """The topic is off by default."""
    bench = unit_bench.Bench()
    bench.read(samples.record())
    assert {sent.topic for sent in bench.unit.outgoing()} == {fakes.TOPICS.events}


@pytest.mark.parametrize("happened", ["request", "request, other payload", "invalid"])
def test_answers_to_second_messages_leave_the_latest_state_alone(happened: str) -> None:
    """A repetition or a conflict is reported, but the request stands where it stood."""
    bench = unit_bench.Bench(samples.job("running"), topics=_LATEST)
    bench.happen(happened)
    assert len(bench.states()) == 1
    assert _latest(bench) == {}


def test_wish_for_a_request_that_never_was_is_no_latest_state() -> None:
    """Only requests have a state; a cancel or a resolve that finds none has not."""
    bench = unit_bench.Bench(topics=_LATEST)
    bench.happen("settled")
    assert bench.states() == ["rejected"]
    assert _latest(bench) == {}


def test_forgotten_request_is_forgotten_in_the_latest_states_too() -> None:
    """With the end of its memory a request leaves a tombstone, so the topic stays bounded."""
    bench = unit_bench.Bench(samples.job("succeeded"), topics=_LATEST)
    bench.happen("expired")
    assert _latest(bench) == {b"/billing order-1": None}


def test_forgotten_cancel_does_not_forget_its_request() -> None:
    """A cancel that waited on another partition than its request goes without a tombstone for that request."""
    bench = unit_bench.Bench(samples.job("awaited, passed on"), topics=_LATEST)
    bench.happen("cancel matched")
    assert bench.written() == {unit_bench.KEY: None}
    assert _latest(bench) == {}


def test_latest_state_that_does_not_fit_goes_without_rows() -> None:
    """The compacted topic may take less than the events topic; a commit must never fail for it."""
    rows = events.StatementResult(rows=["x" * 900], row_count=1)
    bench = unit_bench.Bench(samples.job("collecting"), topics=_LATEST, limits={"mrs.latest": 1400})
    bench.happen(facts.ResultCollected(events.Result(statements=[rows])))
    published, kept = bench.unit.outgoing()
    assert event_reader.read(published.value or b"", published.headers).data.result == events.Result(statements=[rows])
    assert records.size_bytes(kept.key, kept.value, kept.headers) <= 1400


def test_events_are_written_in_the_mode_of_the_settings() -> None:
    """Structured mode reaches events and latest states alike."""
    bench = unit_bench.Bench(topics=dataclasses.replace(_LATEST, mode="structured"))
    bench.read(samples.record())
    for sent in bench.unit.outgoing():
        assert json.loads(sent.value or b"")["type"] == "mrs.job.accepted"
        assert event_reader.read(sent.value or b"", sent.headers).data.state == "accepted"
