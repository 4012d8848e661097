"""What is decided about the rows of a statement that has succeeded."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.common import clock
from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import cold_jobs, commands, facts, job_records, jobs
from mrs_relay.kafka import ledger_format
from mrs_relay.messages import events

DELIVERY = jobs.Delivery("obs://lake/results/a/", max_rows=10, max_bytes=1000)
LOCATION = "obs://lake/results/a/1_2/x.csv"


def finished(location: str | None = LOCATION) -> facts.StatementObserved:
    """Show that the statement has ended well."""
    return facts.StatementObserved(jobs.MrsStatus(samples.JOB_ID, "FINISHED"), result=events.Result(location=location))


def job(name: str = "running, a statement", delivery: jobs.Delivery | None = DELIVERY) -> jobs.Job:
    """Return a statement whose rows are wanted."""
    return msgspec.structs.replace(samples.job(name), delivery=delivery)


@pytest.mark.parametrize(
    "name", ["submitting, a statement that reads", "submitted, a statement", "running, a statement"]
)
def test_rows_are_read_before_the_success_is_published(name: str) -> None:
    """No event of the success yet; the ledger has the path, and by when the reading ends."""
    decision = samples.decide(job(name), finished())
    assert decision.job is not None
    assert "succeeded" not in [event.data.state for event in decision.events]
    assert (decision.job.state, decision.command) == (jobs.State.COLLECTING, commands.Command.COLLECT)
    assert decision.job.location == LOCATION
    assert 0 < decision.job.run_deadline_ms - samples.NOW_MS <= 60_000


def test_reading_ends_after_a_minute_whatever_the_settings_say() -> None:
    """A success is known by then."""
    patient = msgspec.structs.replace(samples.RULES, collect_within_ms=600_000)
    decision = transitions.decide(job(), finished(), samples.NOW_MS, patient)
    assert decision is not None
    assert decision.job is not None
    assert decision.job.run_deadline_ms == samples.NOW_MS + 60_000


@pytest.mark.parametrize(
    "location",
    [
        "obs://lake/results/b/x.csv",
        "obs://lake/results/ab/x.csv",
        "obs://pond/results/a/x.csv",
        "obs://lake/results/a/../b/x.csv",
        "obs://lake/results/a/%2e%2e/b/x.csv",
        "https://lake/results/a/x.csv",
        "obs://lake/results/a/",
        "obs://lake/results/a/" + "x" * 5000,
    ],
)
def test_path_outside_of_the_folder_is_named_and_not_read(location: str) -> None:
    """The success has the path, at a bearable length, and the reason."""
    decision = samples.decide(job(), finished(location))
    data = samples.only_event(decision)
    assert decision.command is commands.Command.RELEASE
    assert (data.state, data.result is not None) == ("succeeded", True)
    assert data.result is not None
    assert data.result.unavailable
    assert location.startswith(data.result.location or "?")
    assert len(data.result.location or "") <= 1200


@pytest.mark.parametrize(("delivery", "location"), [(None, LOCATION), (DELIVERY, None)])
def test_without_a_delivery_or_an_object_there_is_nothing_to_read(
    delivery: jobs.Delivery | None, location: str | None
) -> None:
    """As ever: the path alone, or the rows of the reply."""
    data = samples.only_event(samples.decide(job(delivery=delivery), finished(location)))
    assert data.state == "succeeded"
    assert data.result == events.Result(location=location)


def test_rows_come_once() -> None:
    """A second result, of a replica that has lost the partition or of a second read, changes nothing."""
    reading = samples.decide(job(), finished()).job
    assert reading is not None
    rows = facts.ResultCollected(events.Result(statements=[events.StatementResult(rows=[["1"]], row_count=1)]))
    ended = samples.decide(reading, rows)
    assert [event.data.state for event in ended.events] == ["succeeded"]
    assert ended.job is not None
    assert transitions.decide(ended.job, rows, samples.NOW_MS, samples.RULES) is None


def reading(late_ms: int = 3_600_000, may_follow: bool = True) -> tuple[jobs.Job, events.EventBody]:
    """Return the job and its last event, when OBS has not answered in time."""
    began = samples.decide(job(), finished()).job
    silent = facts.ResultCollected(events.Result(location=LOCATION, unavailable="no answer"), may_follow=may_follow)
    decision = transitions.decide(
        began, silent, samples.NOW_MS, msgspec.structs.replace(samples.RULES, late_rows_ms=late_ms)
    )
    assert decision is not None
    assert decision.job is not None
    wanted = commands.Command.COLLECT_LATE if decision.job.late_until_ms else commands.Command.RELEASE
    assert decision.command is wanted
    return decision.job, samples.only_event(decision)


ROWS = facts.ResultCollected(events.Result(statements=[events.StatementResult(rows=[["1"]], row_count=1)]))


def test_rows_that_obs_has_not_given_out_in_time_come_in_an_event_of_their_own() -> None:
    """The success says until when; the event that follows has the next number and no new state, and comes once."""
    late, first = reading()
    assert first.result is not None
    assert (first.state, first.repeated, first.result.unavailable) == ("succeeded", False, "no answer")
    assert first.result.late_until == clock.rfc3339(samples.NOW_MS + 3_600_000)
    assert (late.state, late.late_until_ms) == (jobs.State.SUCCEEDED, samples.NOW_MS + 3_600_000)
    assert transitions.recover(late) is commands.Command.COLLECT_LATE

    decision = samples.decide(late, ROWS)
    [event] = decision.events
    assert (event.late_rows, event.data.state, event.data.repeated) == (True, "succeeded", True)
    assert (event.data.sequence, event.data.result) == (first.sequence + 1, ROWS.result)
    assert decision.command is commands.Command.RELEASE
    assert decision.job is not None
    assert (decision.job.late_until_ms, decision.job.traceparent, decision.job.sender) == (0, None, None)
    assert transitions.decide(decision.job, ROWS, samples.NOW_MS, samples.RULES) is None


def test_rows_are_not_late_for_ever_and_not_where_obs_has_refused_them() -> None:
    """Without the setting, or after an answer that is final, the success is the last word."""
    for job, event in (reading(late_ms=0), reading(may_follow=False)):
        assert job.late_until_ms == 0
        assert event.result is not None
        assert (event.result.late_until, event.result.unavailable) == (None, "no answer")
    assert reading(late_ms=10**12)[0].late_until_ms == samples.NOW_MS + samples.RULES.remember_ms


def test_request_with_late_rows_stays_in_memory_and_answers_as_ever() -> None:
    """A repetition says that rows may come; a cancel changes nothing; memory must hold the ledger's record."""
    late, first = reading()
    cold = msgspec.structs.replace(late, late_until_ms=0)
    kept = msgspec.structs.replace(cold, rows_until_ms=1)
    both = msgspec.structs.replace(late, rows_until_ms=1)
    assert [cold_jobs.is_cold(one) for one in (late, kept, both, cold)] == [False, False, False, True]
    for ledger in (ledger_format.NAMED, ledger_format.PLACED):
        records = [job_records.encode(one, ledger) for one in (late, kept, both)]
        assert cold_jobs.due_ms(records, 10**13, 0, lambda _: True) == [None] * 3
        assert cold_jobs.due_ms([job_records.encode(cold, ledger)], 10**13, 0, lambda _: True) == [cold.expires_ms]

    again = samples.decide(late, samples.FACTS["cancel"])
    data = samples.only_event(again)
    assert data.result is not None
    assert (data.state, data.repeated, data.result.late_until) == (
        "succeeded",
        True,
        first.result and first.result.late_until,
    )
    assert again.job is not None
    assert samples.only_event(samples.decide(again.job, ROWS)).sequence == first.sequence + 2


def test_rows_that_an_earlier_version_has_given_up_do_not_come() -> None:
    """It has let the job leave memory: nothing would read its rows, or remove their folder."""
    late = msgspec.structs.replace(reading()[0], rows_until_ms=1)
    value = cold_jobs.head(late) + job_records.encode(late)
    assert job_records.decode(value) == msgspec.structs.replace(late, late_until_ms=0, rows_until_ms=0)


def test_relay_that_fails_on_late_rows_says_so() -> None:
    """An error of its own ends the wait with the event that was announced."""
    late, first = reading()
    data = samples.only_event(samples.decide(late, facts.InternalFailure("KeyError")))
    assert data.result is not None
    assert (data.sequence, data.repeated, data.result.location) == (first.sequence + 1, True, LOCATION)
    assert "KeyError" in (data.result.unavailable or "")


@pytest.mark.parametrize(("keep_s", "wait_s"), [(0, 3600), (60, 3600), (7200, 7200), (30 * 86_400, 86_400)])
def test_folders_are_looked_at_once_more_before_a_request_leaves_memory(keep_s: int, wait_s: int) -> None:
    """After their time once more, an hour at least and a day at most; the ledger says so."""
    config = msgspec.structs.replace(samples.RULES, keep_rows_ms=keep_s * 1000)
    ended = msgspec.structs.replace(reading(late_ms=0)[0], rows_until_ms=1)
    once = transitions.decide(ended, facts.RowsRemoved(), samples.NOW_MS, config)
    assert once is not None
    assert once.job is not None
    assert once.job == msgspec.structs.replace(ended, rows_until_ms=samples.NOW_MS + wait_s * 1000, rows_removed=True)
    assert (once.command, once.events, cold_jobs.is_cold(once.job)) == (commands.Command.RELEASE, (), False)

    twice = transitions.decide(once.job, facts.RowsRemoved(), samples.NOW_MS + wait_s * 1000, config)
    assert twice is not None
    assert twice.job == msgspec.structs.replace(ended, rows_until_ms=0)
    assert (twice.command, cold_jobs.is_cold(twice.job)) == (commands.Command.RELEASE, True)
