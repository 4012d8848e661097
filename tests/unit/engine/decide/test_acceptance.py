"""New requests, repeated ones, and a second request under a used id."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts
from mrs_relay.messages import digests

_replace = msgspec.structs.replace


def test_rejected_request_is_remembered_and_reported_why() -> None:
    """A rejection carries its reason and is forgotten sooner than a finished job."""
    decision = samples.decide(None, samples.FACTS["invalid"])
    reason = samples.only_event(decision).reason
    assert reason is not None
    assert (reason.kind, reason.code, reason.field) == ("invalid", "missing_field", "data.cluster")
    assert decision.job is not None
    assert decision.job.expires_ms == samples.NOW_MS + samples.RULES.remember_rejected_ms


def test_corrected_request_starts_again_and_counts_on() -> None:
    """A rejected id may be used again with a corrected message; its events continue the numbering."""
    rejected = _replace(samples.job("rejected"), sequence=2)
    decision = samples.decide(rejected, facts.Requested(samples.request()))
    assert samples.only_event(decision).sequence == 3
    assert decision.job == _replace(samples.request(), sequence=3, shown="accepted", arrived_ms=samples.NOW_MS)


@pytest.mark.parametrize(
    ("digest", "is_repeat"),
    [
        ("2:37", True),
        ("OLD", True),
        ("0" * 32, False),
        ("2:" + "0" * 32, False),
    ],
)
def test_request_of_version_0_1_is_known_again(digest: str, *, is_repeat: bool) -> None:
    """Ledgers hold digests of both forms: a repeat is compared with the form that stands there, and with no other."""
    data = {"cluster": "c", "job": {"job_type": "SparkSubmit"}, "queue_deadline_s": 3600.0}
    record = samples.record(samples.message(data))
    meaning = reader.read(record, frozenset(), 1_000_000)
    assert isinstance(meaning, tuple)
    fact = meaning[1]
    assert isinstance(fact, facts.Requested)
    known = {"2:37": fact.job.digest, "OLD": digests.old(record.topic, record.value, record.headers)}
    event = samples.only_event(samples.decide(_replace(samples.job("running"), digest=known.get(digest, digest)), fact))
    assert event.repeated is is_repeat
    assert (event.reason is not None and event.reason.code == "id_reused") is not is_repeat


@pytest.mark.parametrize("name", ["succeeded", "failed", "cancelled", "unknown"])
def test_repeated_request_is_answered_with_the_outcome(name: str) -> None:
    """Sent once more, a finished request gets its outcome again: reason, place of the rows, MRS's view."""
    job = samples.job(name)
    event = samples.only_event(samples.decide(job, samples.FACTS["request"]))
    assert event.repeated
    assert (event.reason.code if event.reason else None) == (job.reason.code if job.reason else None)
    assert (event.result.location if event.result else None) == job.location
    assert event.mrs is not None
    assert event.mrs.job_id == samples.JOB_ID


@pytest.mark.parametrize(("happened", "code"), [("request, other payload", "id_reused"), ("invalid", "missing_field")])
@pytest.mark.parametrize("name", ["queued", "submitting", "running", "succeeded"])
def test_second_message_under_a_used_id_leaves_the_job_alone(name: str, happened: str, code: str) -> None:
    """The sender of a reused id gets an answer; the job of that id changes by nothing but the event number."""
    job = samples.job(name)
    decision = samples.decide(job, samples.FACTS[happened])
    reason = samples.only_event(decision).reason
    assert reason is not None
    assert reason.code == code
    assert decision.job == _replace(job, sequence=job.sequence + 1)
