"""What decisions say beyond state, event and command."""

from __future__ import annotations

import json
import math

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import commands, decisions, facts, job_names, job_records, jobs
from mrs_relay.messages import digests, events

_replace = msgspec.structs.replace


def _decide(job: jobs.Job | None, fact: facts.Fact, now_ms: int = samples.NOW_MS) -> decisions.Decision:
    decision = transitions.decide(job, fact, now_ms, samples.RULES)
    assert decision is not None
    return decision


def _job(name: str) -> jobs.Job:
    job = samples.JOBS[name]
    assert job is not None
    return job


def _only_event(decision: decisions.Decision) -> events.EventBody:
    (event,) = decision.events
    return event.data


def test_life_of_a_job_tells_where_it_stood_before() -> None:
    """Each event names the state that was told before it, the attempt, the cluster and the labels."""
    job: jobs.Job | None = None
    told = []
    labels = {"team": "billing"}
    happened: list[facts.Fact] = [facts.Requested(samples.request(labels=labels)), samples.FACTS["turn"]]
    happened += [samples.FACTS[name] for name in ("taken", "running", "progressed", "succeeded")]
    for fact in happened:
        decision = _decide(job, fact)
        job = decision.job
        told += [event.data for event in decision.events]
    assert [(data.previous_state, data.state, data.attempt, data.sequence) for data in told] == [
        (None, "accepted", 0, 1),
        ("accepted", "submitted", 1, 2),
        ("submitted", "running", 1, 3),
        ("running", "progress", 1, 4),
        ("progress", "succeeded", 1, 5),
    ]
    assert all(data.cluster == samples.CLUSTER and data.labels == labels and not data.repeated for data in told)


def test_submitted_event_names_the_job_on_mrs() -> None:
    """From `submitted` on, events carry MRS's id and the marked name under which the job is found there."""
    job = _job("submitting")
    told = _only_event(_decide(job, facts.SubmissionAccepted("j-7"))).mrs
    assert told == events.BodyMrs(job_id="j-7", job_name=f"nightly-{job_names.submission_token(job.ledger_key, 1)}")


def test_statement_has_no_name_on_mrs() -> None:
    """MRS gives statements no name, so none is told."""
    fact = facts.StatementObserved(jobs.MrsStatus("s-1", "QUEUED"))
    assert _only_event(_decide(_job("submitting, a statement that writes"), fact)).mrs == events.BodyMrs(job_id="s-1")


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING"])
def test_statement_that_goes_on_without_an_id_becomes_unknown(status: str) -> None:
    """MRS gives DDL no id, so one that has not ended with its reply can never be followed: say so."""
    decision = _decide(_job("submitting, a statement that writes"), facts.StatementObserved(jobs.MrsStatus("", status)))
    assert [event.data.state for event in decision.events] == ["submitted", "unknown"]
    reason = decision.events[-1].data.reason
    assert reason is not None
    assert reason.code == "statement_without_id"


def test_long_message_from_outside_is_cut() -> None:
    """What MRS says may be long; an event and the ledger carry the beginning of it."""
    fact = facts.SubmissionRefused(jobs.Reason("refused", "0173", "x" * 100_000))
    reason = _only_event(_decide(_job("submitting"), fact)).reason
    assert reason is not None
    assert len(reason.message) == 2_000


def test_turn_keeps_what_was_sent_before() -> None:
    """An attempt that had no effect is no attempt: the next submission bears the same mark."""
    job = _decide(_job("queued"), facts.Admitted()).job
    assert job is not None
    assert (job.attempt, job.intent_ms) == (1, samples.NOW_MS)
    again = _decide(_decide(job, facts.SubmissionNotApplied()).job, facts.Admitted(), samples.NOW_MS + 7).job
    assert again is not None
    assert (again.attempt, again.intent_ms, again.mrs_name) == (1, samples.NOW_MS + 7, job.mrs_name)


def test_job_that_mrs_has_keeps_no_work() -> None:
    """Arguments and SQL are dropped from the ledger as soon as MRS has them."""
    assert _decide(_job("submitting"), facts.SubmissionAccepted("j")).job == _replace(
        _job("submitting"),
        state=jobs.State.SUBMITTED,
        work=None,
        seen=jobs.MrsStatus("j"),
        sequence=4,
        shown="submitted",
    )


@pytest.mark.parametrize("happened", ["failed", "killed", "succeeded", "vanished"])
def test_finished_job_shrinks_and_is_remembered(happened: str) -> None:
    """After its last event a job keeps what answers a repeated request, for the time the rules say."""
    job = _decide(_replace(_job("running"), traceparent="t", tracestate="s"), samples.FACTS[happened]).job
    assert job is not None
    assert (job.work, job.traceparent, job.tracestate) == (None, None, None)
    assert job.digest == "d"
    assert job.expires_ms == samples.NOW_MS + samples.RULES.remember_ms


def test_rejected_request_is_remembered_and_told_why() -> None:
    """A rejection carries its reason and is forgotten sooner than a finished job."""
    decision = _decide(None, samples.FACTS["invalid"])
    reason = _only_event(decision).reason
    assert reason is not None
    assert (reason.kind, reason.code, reason.field) == ("invalid", "missing_field", "data.cluster")
    assert decision.job is not None
    assert decision.job.expires_ms == samples.NOW_MS + samples.RULES.remember_rejected_ms


def test_corrected_request_starts_anew_and_counts_on() -> None:
    """A rejected id may be used again with a corrected message; its events continue the numbering."""
    rejected = _replace(_job("rejected"), sequence=2)
    decision = _decide(rejected, facts.Requested(samples.request()))
    assert _only_event(decision).sequence == 3
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
    told = _only_event(_decide(_replace(_job("running"), digest=known.get(digest, digest)), fact))
    assert told.repeated is is_repeat
    assert (told.reason is not None and told.reason.code == "id_reused") is not is_repeat


@pytest.mark.parametrize("name", ["succeeded", "failed", "cancelled", "unknown"])
def test_repeated_request_is_answered_with_the_outcome(name: str) -> None:
    """Sent once more, a finished request gets its outcome again: reason, place of the rows, MRS's view."""
    job = _job(name)
    told = _only_event(_decide(job, samples.FACTS["request"]))
    assert told.repeated
    assert (told.reason.code if told.reason else None) == (job.reason.code if job.reason else None)
    assert (told.result.location if told.result else None) == job.location
    assert told.mrs is not None
    assert told.mrs.job_id == samples.JOB_ID


@pytest.mark.parametrize(("happened", "code"), [("request, other payload", "id_reused"), ("invalid", "missing_field")])
@pytest.mark.parametrize("name", ["queued", "submitting", "running", "succeeded"])
def test_second_message_under_a_used_id_leaves_the_job_alone(name: str, happened: str, code: str) -> None:
    """Whoever reuses an id is told so; the job of that id changes by nothing but the event number."""
    job = _job(name)
    decision = _decide(job, samples.FACTS[happened])
    reason = _only_event(decision).reason
    assert reason is not None
    assert reason.code == code
    assert decision.job == _replace(job, sequence=job.sequence + 1)


def test_job_is_forgotten_only_when_its_time_has_come() -> None:
    """A timer that rings early forgets nothing."""
    job = _replace(_job("succeeded"), expires_ms=samples.NOW_MS + 1)
    assert transitions.decide(job, facts.Expired(), samples.NOW_MS, samples.RULES) is None
    assert _decide(job, facts.Expired(), samples.NOW_MS + 1).job is None


@pytest.mark.parametrize(
    ("progress", "told"), [(29.9, False), (30.0, True), (10.1, False), (10.0, True), (100.0, True), (20.0, False)]
)
def test_progress_is_told_in_steps(progress: float, told: bool) -> None:
    """Progress is told once it has changed by the step of the rules, either way, since it was told last."""
    fact = facts.JobObserved(jobs.MrsStatus(samples.JOB_ID, "RUNNING", "UNDEFINED", progress, "app-1"))
    decision = transitions.decide(_job("running"), fact, samples.NOW_MS, samples.RULES)
    assert (decision is not None) is told


def test_small_steps_add_up() -> None:
    """What was not told does not count as told: slow progress is told as often as fast progress."""
    job: jobs.Job | None = _job("running")
    told = []
    for percent in range(21, 61):
        fact = facts.JobObserved(jobs.MrsStatus(samples.JOB_ID, "RUNNING", "UNDEFINED", float(percent), "app-1"))
        decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)
        if decision is not None:
            job = decision.job
            told.append(percent)
    assert told == [30, 40, 50, 60]


def test_what_mrs_leaves_out_still_holds() -> None:
    """A list that shows less than a single read takes nothing back."""
    before = jobs.MrsStatus(samples.JOB_ID, "RUNNING", "UNDEFINED", 20.0, "app-1", "http://x", 5, 6)
    bare = facts.JobObserved(jobs.MrsStatus(samples.JOB_ID, "FINISHED", "SUCCEEDED", 100.0))
    job = _decide(_replace(_job("running"), seen=before), bare).job
    assert job is not None
    assert job.seen == jobs.MrsStatus(samples.JOB_ID, "FINISHED", "SUCCEEDED", 100.0, "app-1", "http://x", 5, 6)


def test_event_tells_mrs_times_and_words() -> None:
    """Times are RFC 3339 in UTC; what is not known is left out."""
    seen = jobs.MrsStatus(samples.JOB_ID, "FINISHED", "FAILED", 50.0, "app-1", "http://x", 1_000, 2_000, 3_500)
    told = _only_event(_decide(_job("running"), facts.JobObserved(seen)))
    assert told.mrs == events.BodyMrs(
        job_id=samples.JOB_ID,
        job_name=_job("running").mrs_name,
        job_state="FINISHED",
        job_result="FAILED",
        progress=50.0,
        app_id="app-1",
        tracking_url="http://x",
        submitted_at="1970-01-01T00:00:01.000Z",
        started_at="1970-01-01T00:00:02.000Z",
        finished_at="1970-01-01T00:00:03.500Z",
    )
    assert told.reason is not None
    assert (told.reason.kind, told.reason.code) == ("job_failed", "job_result")
    assert "FINISHED" in told.reason.message
    assert "FAILED" in told.reason.message


@pytest.mark.parametrize("moment", [-1, 0, 253_402_300_800_000, 10**30])
@pytest.mark.parametrize("progress", [-1.0, 101.0, math.inf, -math.inf, math.nan])
def test_nonsense_from_mrs_is_survived(moment: int, progress: float) -> None:
    """Times no calendar has are left out and progress is kept within 0 and 100: a poll never stops a partition."""
    seen = jobs.MrsStatus(samples.JOB_ID, "FINISHED", "SUCCEEDED", progress, "", "", moment, moment, moment)
    decision = _decide(_job("running"), facts.JobObserved(seen))
    told = _only_event(decision).mrs
    assert told is not None
    assert decision.job is not None
    assert job_records.decode(job_records.encode(decision.job)) == decision.job
    assert (told.submitted_at, told.started_at, told.finished_at) == (None, None, None)
    assert told.progress is not None
    assert 0 <= told.progress <= 100


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
    decision = _decide(_job(name), fact)
    reason = _only_event(decision).reason
    assert reason is not None
    assert len(reason.code) <= 64
    assert len(reason.message) <= 2000
    assert decision.job is not None
    assert len(job_records.encode(decision.job)) < 4000


def test_statement_that_fails_without_a_word_still_has_a_reason() -> None:
    """A failure always carries a reason."""
    fact = facts.StatementObserved(jobs.MrsStatus(samples.JOB_ID, "FAILED"))
    reason = _only_event(_decide(_job("submitted, a statement"), fact)).reason
    assert reason is not None
    assert (reason.kind, reason.code, reason.message) == (
        "job_failed",
        "statement_failed",
        "the SQL engine gives no reason",
    )


def test_rows_are_in_the_event_and_only_their_place_is_in_the_ledger() -> None:
    """Rows go out once; the ledger keeps where MRS put them."""
    result = samples.ROWS.model_copy(update={"location": "obs://b/x"})
    decision = _decide(_job("collecting"), facts.ResultCollected(result))
    assert _only_event(decision).result == result
    assert decision.job is not None
    assert decision.job.location == "obs://b/x"
    assert b"rows" not in job_records.encode(decision.job)


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
    told: list[events.Event] = []
    job: jobs.Job | None = None
    for fact in (meaning[1], *(samples.FACTS[name] for name in then), facts.Requested(samples.request())):
        decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)
        if decision is not None:
            job = decision.job
            told += decision.events
    assert len(told) >= 2
    for event in told:
        _, value, headers = events.write(event, "/mrs-relay")
        assert _HIDDEN not in repr((event, value, headers))
        assert json.loads(value)["request"]["id"] == "order-1"


@pytest.mark.parametrize("name", [name for name, job in samples.JOBS.items() if job])
def test_restart_takes_up_what_is_owed(name: str) -> None:
    """From the ledger alone a restart knows what to do; only a submission is never taken up, it is in doubt."""
    job = _job(name)
    owed = transitions.recover(job_records.decode(job_records.encode(job)))
    if job.state is not jobs.State.SUBMITTING:
        assert owed is commands.FOR_STATE[job.state]
        return
    assert isinstance(owed, facts.SubmissionInDoubt)
    after = _decide(job, owed).job
    assert after is not None
    assert after.state is not jobs.State.SUBMITTING


_LATE = facts.DuplicatesChecked(1, (samples.JOB_ID, "j-3"))


@pytest.mark.parametrize("name", ["submitted", "running", "collecting", "cancelling", "succeeded", "failed"])
def test_second_job_that_shows_up_late_is_noted_and_told(name: str) -> None:
    """Whatever has become of the first one: ledger and event say which is to be stopped, no state moves."""
    decision = _decide(_job(name), _LATE)
    told = _only_event(decision)
    assert decision.job is not None
    assert (decision.job.state, decision.job.twins) == (_job(name).state, ("j-3",))
    assert told.repeated
    assert told.reason is not None
    assert (told.reason.kind, told.reason.code) == ("duplicate", "stopped_twin")
    assert "j-3" in told.reason.message
    assert samples.JOB_ID not in told.reason.message
    assert transitions.decide(decision.job, _LATE, samples.NOW_MS, samples.RULES) is None


@pytest.mark.parametrize("name", ["queued", "doubtful", "unknown", "running, the last attempt"])
def test_nothing_is_stopped_where_no_job_is_kept(name: str) -> None:
    """Who waits for his turn, is unknown, or follows another attempt's job must not have the only job stopped."""
    assert transitions.decide(_job(name), _LATE, samples.NOW_MS, samples.RULES) is None


def test_each_stopped_twin_leaves_the_others() -> None:
    """A second job found while the first is being stopped is not forgotten with it."""
    both = _decide(_job("submitted, with a twin"), _LATE).job
    assert both is not None
    assert both.twins == ("j-2", "j-3")
    left = _decide(both, facts.DuplicatesStopped(("j-2",))).job
    assert left is not None
    assert left.twins == ("j-3",)
    assert transitions.decide(left, facts.DuplicatesStopped(("j-2",)), samples.NOW_MS, samples.RULES) is None


def test_a_look_up_of_a_later_attempt_forgets_no_second_job_of_an_earlier_one() -> None:
    """The wish to stop it stands in the ledger until MRS shows that it has ended; only what is new is told."""
    seen = jobs.MrsStatus("j-5", submitted_ms=samples.NOW_MS)
    doubtful = msgspec.structs.replace(_job("doubtful"), attempt=2, twins=("j-2",))
    decision = _decide(doubtful, facts.SubmissionFound(seen, ("j-6",)))
    assert decision.job is not None
    assert decision.job.twins == ("j-2", "j-6")
    told = _only_event(decision)
    assert told.reason is not None
    assert "j-6" in told.reason.message
    assert "j-2" not in told.reason.message
    nothing_new = _only_event(_decide(doubtful, facts.SubmissionFound(seen)))
    assert nothing_new.reason is None
