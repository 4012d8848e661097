"""Read one record as the relay does, and expect a job, a rejection or a dead letter."""

from __future__ import annotations

from typing import Any

from tests.unit.engine import samples

from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import records
from mrs_relay.messages import dead_letters, reasons

MOST_BYTES = 100_000


def read(record: records.Record) -> reader.Keyed | dead_letters.DeadLetter:
    return reader.read(record, samples.RESULT_TYPES, MOST_BYTES)


def job(value: object = ..., **changes: Any) -> jobs.Job:
    meaning = read(samples.record(value, **changes))
    assert isinstance(meaning, tuple)
    key, fact = meaning
    assert isinstance(fact, facts.Requested)
    assert key == fact.job.ledger_key
    return fact.job


def invalid(value: object = ..., **changes: Any) -> facts.InvalidRequest:
    meaning = read(samples.record(value, **changes))
    assert isinstance(meaning, tuple)
    key, fact = meaning
    assert isinstance(fact, facts.InvalidRequest)
    assert key == fact.job.ledger_key
    assert fact.reason.kind == "invalid"
    assert fact.reason.code in reasons.CODES
    return fact
