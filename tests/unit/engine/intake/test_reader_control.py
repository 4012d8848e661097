"""Messages about another request: cancel and resolve, in every form, also with headers that a stranger wrote."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine import samples

from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, job_records, jobs
from mrs_relay.kafka import records
from mrs_relay.messages import dead_letters, reasons

_TARGET = {"id": "order-1", "source": "/billing"}
_KEY = jobs.ledger_key("/billing", "order-1")


def _read(record: records.Record) -> tuple[jobs.LedgerKey, facts.Fact]:
    meaning = reader.read(record, samples.RESULT_TYPES, 100_000)
    assert not isinstance(meaning, dead_letters.DeadLetter)
    return meaning


def _message(kind: str = "cancel", target: Any = _TARGET, **data: Any) -> dict[str, Any]:
    return samples.message({"request": target, **data}, f"mrs.job.{kind}", id="c-1", source="/ops")


def _cancelled(headers: Any = (), value: object = ...) -> facts.CancelRequested:
    key, fact = _read(samples.record(_message(note="n") if value is ... else value, headers=headers))
    assert isinstance(fact, facts.CancelRequested)
    assert key == fact.job.ledger_key
    return fact


def test_cancel_becomes_a_wish_for_its_target() -> None:
    """The target's key; who asks, to be reported if nothing comes; correlation and Kafka key of the message."""
    value = _message(note="n") | {"correlationid": "run-7", "traceparent": "t"}
    key, fact = _read(samples.record(value))
    assert key == _KEY

    assert fact == facts.CancelRequested(
        jobs.Job(
            source="/billing",
            id="order-1",
            subject="job",
            digest="",
            state=jobs.State.PENDING_CANCEL,
            key=b"k",
            order=17,
            asked_source="/ops",
            correlation_id="run-7",
            traceparent="t",
        ),
        jobs.Reason("cancelled", "requested", "n"),
        "c-1",
    )


def test_cancel_without_a_note_names_the_message() -> None:
    """The reason says who asked."""
    assert _cancelled(value=_message()).reason.message == "cancelled by message c-1"


@pytest.mark.parametrize("kind", ["cancel", "resolve"])
def test_target_without_a_source_is_the_senders_own(kind: str) -> None:
    """A service speaks of its own requests unless it says otherwise."""
    more = {"verdict": "failed", "note": "n"} if kind == "resolve" else {}
    key, _ = _read(samples.record(_message(kind, {"id": "order-1"}, **more)))
    assert key == jobs.ledger_key("/ops", "order-1")


@pytest.mark.parametrize("verdict", ["succeeded", "failed", "cancelled"])
def test_resolve_carries_the_verdict_and_who_says_so(verdict: str) -> None:
    """Verdict, note, the message's id, and its identity for an answer where there is nothing to settle."""
    key, fact = _read(samples.record(_message("resolve", verdict=verdict, note="looked")))
    assert key == _KEY
    assert isinstance(fact, facts.ResolveRequested)
    assert (fact.verdict, fact.by) == (jobs.State(verdict), "c-1")
    assert fact.reason == jobs.Reason("resolved", "by_hand", "looked")
    assert (fact.sender.source, fact.sender.id, fact.sender.key, fact.sender.sequence) == ("/ops", "c-1", b"k", 0)


@pytest.mark.parametrize("kind", ["cancel", "resolve"])
def test_all_forms_of_a_message_mean_the_same(kind: str) -> None:
    """Plain, structured, binary, and with data in base64."""
    plain = _message(kind, **({"verdict": "failed", "note": "n"} if kind == "resolve" else {}))
    wanted = _read(samples.record(plain))
    structured = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    assert _read(samples.record({**plain, "specversion": "1.0"}, headers=structured)) == wanted
    ce = {"ce_specversion": "1.0", "ce_id": "c-1", "ce_source": "/ops", "ce_type": f"mrs.job.{kind}"}
    binary = tuple((name, text.encode()) for name, text in ce.items())
    assert _read(samples.record(plain["data"], headers=binary)) == wanted
    coded = {name: value for name, value in plain.items() if name != "data"}
    coded["data_base64"] = base64.b64encode(json.dumps(plain["data"]).encode()).decode()
    assert _read(samples.record(coded)) == wanted


@pytest.mark.parametrize(
    ("value", "code", "field"),
    [
        (_message(target={}), "missing_field", "data.request.id"),
        (_message(target={"id": "a", "source": "\0claim"}), "bad_value", "data.request.source"),
        (_message(target={"id": "\n"}), "bad_value", "data.request.id"),
        (_message("resolve", verdict="unknown", note="n"), "bad_value", "data.verdict"),
        (_message(note="x" * 150_000), "too_large", None),
    ],
)
def test_bad_cancel_is_answered_to_its_own_sender(value: object, code: str, field: str | None) -> None:
    """Its own id is reported, never the request that it speaks of; no key of the ledger's own can be named."""
    key, fact = _read(samples.record(value))
    assert key == jobs.ledger_key("/ops", "c-1")
    assert isinstance(fact, facts.InvalidRequest)
    assert (fact.reason.code, fact.reason.field) == (code, field)
    assert code in reasons.CODES


@pytest.mark.parametrize(
    ("header", "came_from"),
    [
        (b"0", 0),
        (b"7", 7),
        (b"007", 7),
        (b"999999999", 999_999_999),
        (b"1000000000", -1),
        (b"9" * 5000, -1),
        (b"-1", -1),
        (b"+1", -1),
        (b" 1", -1),
        (b"1_0", -1),
        (b"1.0", -1),
        (b"1e3", -1),
        (b"", -1),
        (b"x", -1),
        (b"\xff", -1),
        ("²".encode(), -1),
    ],
)
def test_passed_header_is_a_partition_or_nothing(header: bytes, came_from: int) -> None:
    """Junk counts as no header: the cancel is one that was sent here, and is passed on like any other."""
    assert _cancelled(((reader.BROADCAST_HEADER, header),)).came_from == came_from


def test_last_passed_header_counts_in_any_case() -> None:
    """Copies are stopped by the header that the relay writes, whatever stood before it."""
    assert _cancelled(((reader.BROADCAST_HEADER.upper(), b"x"), (reader.BROADCAST_HEADER, b"3"))).came_from == 3


@pytest.mark.parametrize("name", [reader.BROADCAST_HEADER, reader.MATCHED_HEADER])
def test_our_headers_mean_nothing_on_other_messages(name: str) -> None:
    """Only cancels are passed; requests and settlings with these headers are what they are without."""
    settling = _message("resolve", verdict="failed", note="n")
    assert _read(samples.record(settling, headers=((name, b"1"),))) == _read(samples.record(settling))
    (key, fact), (same_key, same) = (_read(samples.record(headers=headers)) for headers in ((), ((name, b"1"),)))
    assert isinstance(fact, facts.Requested)
    assert isinstance(same, facts.Requested)
    assert (key, fact.job) == (same_key, same.job)


@given(
    st.lists(
        st.tuples(st.sampled_from([reader.BROADCAST_HEADER, reader.MATCHED_HEADER]), st.binary(max_size=12)), max_size=4
    ),
    st.dictionaries(st.sampled_from(["id", "source"]), st.text(max_size=6)),
)
def test_any_cancel_has_a_meaning_that_the_ledger_takes(headers: list[tuple[str, bytes]], target: Any) -> None:
    """Nothing raises; no key begins like the ledger's own; what is remembered survives the ledger."""
    key, fact = _read(samples.record(_message(target=target), headers=tuple(headers)))
    assert not key.startswith(b"\0")
    assert isinstance(fact, facts.CancelRequested | facts.CancelMatched | facts.InvalidRequest)
    if isinstance(fact, facts.CancelRequested):
        assert -1 <= fact.came_from < 10**9
        assert job_records.decode(job_records.encode(fact.job)) == fact.job
