"""Which jobs leave memory, decided by the job itself and by its ledger record alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine import recall
from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import cold_jobs, facts, job_records, jobs
from mrs_relay.kafka import ledger_format

_RECENT_MS = 60_000
_LATER_MS = samples.NOW_MS + _RECENT_MS
_ENDED = {"succeeded", "failed", "cancelled", "cancelled while in doubt", "cancelled by a message", "unknown"}


def _due_ms(job: jobs.Job, now_ms: int = _LATER_MS, **changes: Any) -> int | None:
    job = msgspec.structs.replace(job, **changes)
    values = [job_records.encode(job, one) for one in (ledger_format.NAMED, ledger_format.PLACED)]
    by_name, by_place = cold_jobs.due_ms(values, now_ms, _RECENT_MS, lambda name: name in {"", "known"})
    assert by_name == by_place
    return by_place


@pytest.mark.parametrize("name", [name for name, job in samples.JOBS.items() if job is not None])
def test_a_job_is_cold_when_it_has_ended_and_so_is_its_record(name: str) -> None:
    """Rejections and cancels that wait are kept in memory, as are all jobs under way."""
    job = samples.JOBS[name]
    assert job is not None
    assert cold_jobs.is_cold(job) == (name in _ENDED)
    assert _due_ms(job) == (job.expires_ms if name in _ENDED else None)


def test_what_is_still_to_be_done_for_an_ended_job_keeps_it_in_memory() -> None:
    """Duplicates to be stopped, a start that counts against a limit, a kind of work that must be refused."""
    job = samples.JOBS["succeeded"]
    assert job is not None
    assert not cold_jobs.is_cold(msgspec.structs.replace(job, duplicates=("j-2",)))
    assert _due_ms(job, duplicates=("j-2",)) is None
    assert _due_ms(job, now_ms=job.intent_ms + _RECENT_MS - 1) is None
    assert _due_ms(job, kind="known") == job.expires_ms
    assert _due_ms(job, kind="of tomorrow") is None


@pytest.mark.parametrize(
    "value", [b"", b"{", b'{"expires_ms":1}', b'{"expires_ms":"x","state":"failed"}', b"\xff", b"\x03\0"]
)
def test_what_cannot_be_read_is_not_cold(value: bytes) -> None:
    """It is left to those who read the whole record, and refuse it with the reason."""
    assert cold_jobs.due_ms([value, None], _LATER_MS, _RECENT_MS, lambda _name: True) == [None, None]


def test_texts_of_a_request_do_not_make_its_record_cold() -> None:
    """A live job whose arguments quote an ended one."""
    job = samples.JOBS["queued"]
    assert job is not None
    work = jobs.Batch("SparkSubmit", ('{"state":"failed","expires_ms":1}',))
    assert _due_ms(job, work=work) is None
    call = jobs.Call("CreateCluster", body={"state": "failed", "expires_ms": 1})
    assert _due_ms(job, work=call) is None


@pytest.mark.parametrize("name", sorted(_ENDED))
@pytest.mark.parametrize("fact", [one for one in samples.FACTS.values() if not isinstance(one, recall.OF_ENDED)])
def test_other_facts_need_no_ended_job(name: str, fact: facts.Fact) -> None:
    """They change an ended job as little as they change nothing, so nothing is read for them."""
    for job in (samples.JOBS[name], None):
        assert transitions.decide(job, fact, samples.NOW_MS, samples.RULES) is None
