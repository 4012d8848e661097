"""Records that are no request, too large, or invalid: dead letters and rejections."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.unit.engine import samples
from tests.unit.engine.intake import reading

from mrs_relay import errors
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, job_records, jobs
from mrs_relay.kafka import records
from mrs_relay.messages import codec, dead_letters, reasons, requests
from mrs_relay.mrs.models import jobs as job_models


def _letter(value: object, **changes: Any) -> dead_letters.DeadLetter:
    meaning = reading.read(samples.record(value, **changes))
    assert isinstance(meaning, dead_letters.DeadLetter)
    assert meaning.code in reasons.CODES
    return meaning


def test_dead_letter_keeps_the_record() -> None:
    """What names no request is kept as it came: bytes, headers, place and time."""
    headers = (("a", b"1"), ("a", b"\xff"))
    letter = _letter(b"\xffhello", headers=headers, partition=3, key=None)
    assert letter == dead_letters.DeadLetter(
        key=None,
        value=b"\xffhello",
        headers=headers,
        code="unreadable_json",
        message=letter.message,
        topic="mrs.requests",
        partition=3,
        offset=17,
        timestamp_ms=samples.NOW_MS,
    )


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "no_value"),
        (b"", "unreadable_json"),
        (b"[" * 50_000, "unreadable_json"),
        ([], "not_an_object"),
        ({}, "bad_id"),
        (samples.message(id=7), "bad_id"),
        (samples.message(id="a\nb"), "bad_id"),
        (samples.message(source="a b"), "bad_source"),
    ],
)
def test_record_that_names_no_request_is_a_dead_letter(value: object, code: str) -> None:
    """Without a readable id there is no one to answer; the record is kept with its reason."""
    assert _letter(value).code == code


def test_message_over_the_limit_is_rejected() -> None:
    """A message one byte too long is asked to its sender; its work is not kept."""
    padding = reading.MOST_BYTES - len(json.dumps(samples.message(extra="")))
    assert isinstance(reading.job(samples.message(extra="x" * padding)), jobs.Job)
    event = reading.invalid(samples.message(extra="x" * (padding + 1)))
    assert event.reason.code == "too_large"
    assert str(reading.MOST_BYTES) in event.reason.message


def test_message_far_over_the_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that names itself in its headers is rejected, any other is a dead letter; both say how large it is."""
    parsed: list[int] = []
    decode = codec.decode

    def noted(value: bytes) -> Any:
        parsed.append(len(value))
        return decode(value)

    monkeypatch.setattr(codec, "decode", noted)
    value = b"[" * (2 * reading.MOST_BYTES + 1)
    record = records.Record("mrs.requests", 0, 17, 5, b"k", value)
    letter = reader.read(record, frozenset(), reading.MOST_BYTES)
    assert isinstance(letter, dead_letters.DeadLetter)
    assert (letter.code, letter.value) == ("too_large", value)
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"r-1"), ("ce_source", b"/s"), ("ce_type", b"mrs.sql.submit"))
    shown = reader.read(msgspec.structs.replace(record, headers=headers), frozenset(), reading.MOST_BYTES)
    assert isinstance(shown, tuple)
    assert isinstance(shown[1], facts.InvalidRequest)
    assert (shown[1].reason.code, shown[1].job.id) == ("too_large", "r-1")
    assert all(size < 100 for size in parsed)


def test_batch_that_was_given_up_is_a_dead_letter_that_cannot_be_replayed() -> None:
    """It says which offsets and why; there is nothing to send again."""
    record = records.Record("mrs.requests", 3, 17, 0, None, None, (), "the batch at offsets 9 to 17 cannot be read")
    letter = reader.read(record, frozenset(), reading.MOST_BYTES)
    assert isinstance(letter, dead_letters.DeadLetter)
    assert (letter.code, letter.message) == ("unreadable_batch", record.unreadable)
    with pytest.raises(ValueError, match="cut off"):
        dead_letters.read(*letter.write()).replay()


def test_kafka_key_over_the_limit_is_rejected() -> None:
    """A key too long to be the key of every event is reported about under the request's id instead."""
    published = reading.invalid(key=b"x" * 1025)
    assert published.reason.code == "too_large"
    assert published.job.key is None
    assert len(job_records.encode(published.job)) < 1000


def test_errors_of_the_messages_never_leak() -> None:
    """BadMessage is a value here, never an exception."""
    try:
        reading.read(samples.record(b"{"))
    except errors.BadMessage:
        pytest.fail("intake raised")


def test_limits_are_those_of_the_mrs_client() -> None:
    """Requests and the MRS client agree on job types and on how long things may be."""
    assert requests.JobType.__args__ == job_models.JobType.__args__  # type: ignore[attr-defined]  # Literals have them
    assert requests.MAX_ARGUMENTS == job_models.MAX_ARGUMENTS
    assert requests.MAX_PROPERTIES == job_models.MAX_PROPERTIES
