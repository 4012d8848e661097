"""What is decided about the log of a job that has ended badly."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import causes, transitions
from mrs_relay.engine.model import commands, decisions, facts, jobs

LOG_READ = facts.LogRead(1, "out_of_memory", "java.lang.OutOfMemoryError: k=v --class A", log=samples.LOG)


def decide(
    job: jobs.Job, fact: facts.Fact | str, rules: decisions.DecisionConfig = samples.LOG_RULES
) -> decisions.Decision:
    """Decide where logs are read."""
    decision = transitions.decide(job, samples.FACTS[fact] if isinstance(fact, str) else fact, samples.NOW_MS, rules)
    assert decision is not None
    assert decision.job is not None
    return decision


@pytest.mark.parametrize("name", ["submitted", "running", "running, for a retry", "running, with rows"])
@pytest.mark.parametrize(("end", "state"), [("failed", "failed"), ("killed", "cancelled")])
def test_log_is_read_before_a_bad_end_is_published(name: str, end: str, state: str) -> None:
    """No event yet; the ledger has the end, the path of the log, and by when the reading ends. The slot is free."""
    before = samples.job(name)
    decision = decide(before, end)
    assert decision.job is not None
    assert (decision.events, decision.command) == ((), commands.Command.READ_LOG)
    assert decision.job.state is before.state
    ending = decision.job.ending
    assert ending is not None
    assert (ending.state, ending.logs, ending.until_ms) == (state, (samples.LOG,), samples.NOW_MS + 30_000)
    assert not jobs.holds_slot(decision.job)
    assert transitions.recover(decision.job) is commands.Command.READ_LOG


@pytest.mark.parametrize("name", ["cancelling", "running, a statement", "running, a cluster"])
def test_no_log_is_read_of_what_leaves_none_or_is_to_be_stopped(name: str) -> None:
    """Who cancelled does not wait for a cause, and statements and clusters leave no log."""
    for fact in ("failed", "statement failed", "cluster failed"):
        decision = transitions.decide(samples.job(name), samples.FACTS[fact], samples.NOW_MS, samples.LOG_RULES)
        assert decision is None or decision.command is not commands.Command.READ_LOG


def test_event_has_the_cause_and_the_log_without_the_requests_values() -> None:
    """And so has the answer to the same request once more."""
    decision = decide(samples.job("running, its log is read"), LOG_READ)
    reason = samples.only_event(decision).reason
    assert reason is not None
    assert (reason.kind, reason.cause, reason.log_location) == ("job_failed", "out_of_memory", samples.LOG)
    assert reason.detail == "java.lang.OutOfMemoryError: k=v … A"
    assert reason.message.startswith("the job failed on MRS (job_result FAILED): a process of the job had too little")
    assert decision.job is not None
    assert decision.job.ending is None

    again = samples.only_event(decide(decision.job, "request"))
    assert again.repeated
    assert again.reason == reason


@pytest.mark.parametrize(
    ("shows", "detail"), [("none", None), ("redacted", "x --class …"), ("full", "x --class com.example.Main")]
)
def test_tenant_says_what_is_shown(shows: str, detail: str | None) -> None:
    """Nothing, all but the request's values, or all; the cause in any case."""
    rules = msgspec.structs.replace(samples.LOGS, shows=shows)
    job = samples.job("running, its log is read", work=jobs.Batch("SparkSubmit", ("--class-of", "com.example.Main")))
    fact = facts.LogRead(1, "disk", "x --class com.example.Main", log=samples.LOG)
    reason = samples.only_event(decide(job, fact, decisions.DecisionConfig(logs=rules))).reason
    assert reason is not None
    assert (reason.cause, reason.detail) == ("disk", detail)


def test_log_of_a_request_whose_values_are_not_known_is_not_shown() -> None:
    """As of a job from before logs were read: what could not be removed from it is not known."""
    job = samples.job("running, its log is read", work=None)
    reason = samples.only_event(decide(job, LOG_READ)).reason
    assert reason is not None
    assert (reason.cause, reason.detail) == ("out_of_memory", None)
    assert "not known any more" in (reason.detail_unavailable or "")


def test_failure_to_read_the_log_is_said_and_changes_no_verdict() -> None:
    """The class, the code and the text are as without logs."""
    reason = samples.only_event(decide(samples.job("running, its log is read"), "log not read")).reason
    assert reason is not None
    assert (reason.kind, reason.code, reason.message) == ("job_failed", "job_result", samples.FAILED.message)
    assert reason.cause is None
    assert reason.detail_unavailable == "OBS has no such object"


def test_retry_after_a_cause_is_decided_when_the_cause_is_known() -> None:
    """Not before; and the next attempt has neither the end nor the cause of this one."""
    job = samples.job("running", retry=jobs.Retry(2, 30.0, ("preempted",)), work=samples.BATCH)
    reading = decide(job, "failed").job
    assert reading is not None
    decision = decide(reading, "log read")
    assert decision.job is not None
    assert samples.only_event(decision).state == "retrying"
    assert (decision.job.state, decision.job.attempt) == (jobs.State.QUEUED, 2)
    assert (decision.job.ending, decision.job.cause) == (None, None)
    assert samples.only_event(decide(reading, LOG_READ)).state == "failed"


@pytest.mark.parametrize("job_id", ["../../other", "a/b", "", "x" * 200, "a.b", "%2e%2e", "a\n"])
def test_id_that_could_lead_out_of_the_folder_is_put_into_no_path(job_id: str) -> None:
    """MRS's reply is foreign text: the job ends, and says why its log was not read."""
    seen = jobs.MrsStatus(job_id, "FINISHED", "FAILED")
    job = samples.job("running", seen=msgspec.structs.replace(samples.job("running").seen, job_id=job_id))  # type: ignore[type-var]  # it has one
    decision = decide(job, facts.JobObserved(seen))
    reason = samples.only_event(decision).reason
    assert reason is not None
    assert decision.job is not None
    assert decision.job.state is jobs.State.FAILED
    assert "path of the log cannot be made" in (reason.detail_unavailable or "")


def test_files_that_need_the_application_are_left_out_until_there_is_one() -> None:
    """A job that never came to YARN has a log of the launcher alone."""
    rules = msgspec.structs.replace(samples.LOGS, files=("{app}/syslog", "{cluster}/{job}/stderr"))
    config = decisions.DecisionConfig(logs=rules)
    without = decide(samples.job("submitted"), "failed", config).job
    assert without is not None
    assert without.ending is not None
    assert without.ending.logs == (samples.LOG,)
    known = decide(samples.job("running"), "failed", config).job
    assert known is not None
    assert known.ending is not None
    assert known.ending.logs == ("obs://lake/logs/app-1/syslog", samples.LOG)


def test_work_is_kept_while_its_values_are_to_be_removed_from_a_log() -> None:
    """And dropped where no log is read, or none is shown without the request's values."""
    job = samples.job("submitting")
    for rules, kept in (
        (samples.LOG_RULES, samples.BATCH),
        (samples.RULES, None),
        (decisions.DecisionConfig(logs=msgspec.structs.replace(samples.LOGS, shows="none")), None),
    ):
        submitted = decide(job, "taken", rules).job
        assert submitted is not None
        assert submitted.work == kept
        assert causes.needs_work(job, rules) is (kept is not None)
