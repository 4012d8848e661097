"""What events show of MRS's words and times, and never show of a request."""

from __future__ import annotations

import json
import math

import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, job_records, jobs
from mrs_relay.messages import events


def test_long_message_from_outside_is_cut() -> None:
    """What MRS says may be long; an event and the ledger carry the beginning of it."""
    fact = facts.SubmissionRefused(jobs.Reason("refused", "0173", "x" * 100_000))
    reason = samples.only_event(samples.decide(samples.job("submitting"), fact)).reason
    assert reason is not None
    assert len(reason.message) == 2_000


def test_event_tells_mrs_times_and_words() -> None:
    """Times are RFC 3339 in UTC; what is not known is left out."""
    seen = jobs.MrsStatus(samples.JOB_ID, "FINISHED", "FAILED", 50.0, "app-1", "http://x", 1_000, 2_000, 3_500)
    event = samples.only_event(samples.decide(samples.job("running"), facts.JobObserved(seen)))

    assert event.mrs == events.BodyMrs(
        job_id=samples.JOB_ID,
        job_name=samples.job("running").mrs_name,
        job_state="FINISHED",
        job_result="FAILED",
        progress=50.0,
        app_id="app-1",
        tracking_url="http://x",
        submitted_at="1970-01-01T00:00:01.000Z",
        started_at="1970-01-01T00:00:02.000Z",
        finished_at="1970-01-01T00:00:03.500Z",
    )

    assert event.reason is not None
    assert (event.reason.kind, event.reason.code) == ("job_failed", "job_result")
    assert "FINISHED" in event.reason.message
    assert "FAILED" in event.reason.message


@pytest.mark.parametrize("moment", [-1, 0, 253_402_300_800_000, 10**30])
@pytest.mark.parametrize("progress", [-1.0, 101.0, math.inf, -math.inf, math.nan])
def test_nonsense_from_mrs_is_survived(moment: int, progress: float) -> None:
    """Times no calendar has are left out and progress is kept within 0 and 100: a poll never stops a partition."""
    seen = jobs.MrsStatus(samples.JOB_ID, "FINISHED", "SUCCEEDED", progress, "", "", moment, moment, moment)
    decision = samples.decide(samples.job("running"), facts.JobObserved(seen))
    event = samples.only_event(decision).mrs
    assert event is not None
    assert decision.job is not None
    assert job_records.decode(job_records.encode(decision.job)) == decision.job
    assert (event.submitted_at, event.started_at, event.finished_at) == (None, None, None)
    assert event.progress is not None
    assert 0 <= event.progress <= 100


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("submitting", facts.SubmissionRefused(jobs.Reason("refused", "x" * 500, "y" * 100_000))),
        ("submitted, a statement", facts.StatementObserved(jobs.MrsStatus(samples.JOB_ID, "FAILED"), "y" * 100_000)),
        ("submitted", facts.JobLost("y" * 100_000)),
    ],
)
def test_long_words_of_mrs_are_cut(name: str, fact: facts.Fact) -> None:
    """An error text of any length becomes an event and a ledger record of limited size."""
    decision = samples.decide(samples.job(name), fact)
    reason = samples.only_event(decision).reason
    assert reason is not None
    assert len(reason.code) <= 64
    assert len(reason.message) <= 2000
    assert decision.job is not None
    assert len(job_records.encode(decision.job)) < 4000


_HIDDEN = "hunter2-hidden"


@pytest.mark.parametrize(
    "message",
    [
        samples.message(
            {
                "cluster": "c",
                "job": {"job_type": "SparkSql", "arguments": [_HIDDEN], "properties": {_HIDDEN: _HIDDEN}},
            }
        ),
        samples.sql(f"select {_HIDDEN}", "hive"),
        samples.sql(f"select {_HIDDEN}"),
        samples.sql(f"drop table {_HIDDEN}"),
    ],
)
@pytest.mark.parametrize(
    "then",
    [
        (),
        ("turn", "refused"),
        ("turn", "not taken", "turn", "in doubt", "found"),
        ("turn", "taken", "running", "progressed", "failed"),
        ("turn", "taken", "running", "succeeded", "collected"),
        ("turn", "statement queued", "statement running", "statement finished"),
        ("turn", "in doubt", "not found", "turn", "vanished"),
    ],
)
def test_events_never_show_arguments_sql_or_properties(message: dict[str, object], then: tuple[str, ...]) -> None:
    """What is to be run stays out of every event, its headers and its repr, on every way through life."""
    meaning = reader.read(samples.record(message), samples.RESULT_TYPES, 100_000)
    assert isinstance(meaning, tuple)
    published: list[events.Event] = []
    job: jobs.Job | None = None
    for fact in (meaning[1], *(samples.FACTS[name] for name in then), facts.Requested(samples.request())):
        decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)
        if decision is not None:
            job = decision.job
            published += decision.events
    assert len(published) >= 2
    for event in published:
        _, value, headers = events.write(event, "/mrs-relay")
        assert _HIDDEN not in repr((event, value, headers))
        assert json.loads(value)["request"]["id"] == "order-1"
