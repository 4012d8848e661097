"""Further attempts: how long each waits, what it inherits, and which number events show."""

from __future__ import annotations

from tests.unit.engine import samples

from mrs_relay.engine.model import jobs


def test_retry_waits_longer_each_time_but_never_less_than_asked() -> None:
    """The wait doubles up to an hour; a longer one that the request names is kept."""

    def waits(backoff_s: float) -> list[float]:
        found = []
        for attempt in range(1, 13):
            job = samples.job("running, for a retry", attempt=attempt, retry=jobs.Retry(20, backoff_s, ("job_failed",)))
            again = samples.decide(job, "failed").job
            assert again is not None
            assert again.attempt == attempt + 1
            found.append((again.not_before_ms - samples.NOW_MS) / 1000)
        return found

    assert waits(30)[:8] == [30, 60, 120, 240, 480, 960, 1920, 3600]
    assert waits(86_400) == [86_400] * 12
    assert waits(0) == [0] * 12


def test_next_attempt_begins_afresh() -> None:
    """New mark, nothing seen, no run deadline yet; the queue deadline counts from the end of the wait."""
    job = samples.job(
        "running, for a retry", queue_deadline_s=10.0, queue_deadline_ms=5, run_deadline_s=9.0, run_deadline_ms=7
    )
    again = samples.decide(job, "failed").job
    assert again is not None
    assert again.mrs_name != job.mrs_name
    assert (again.seen, again.run_deadline_ms) == (None, 0)
    assert again.not_before_ms == samples.NOW_MS + 30_000
    assert again.queue_deadline_ms == samples.NOW_MS + 40_000


def test_attempt_counts_submissions_and_not_what_waits_for_its_turn() -> None:
    """An attempt counts from its turn on, and not if the submission surely had no effect."""
    waiting = samples.decide(samples.job("running, for a retry"), "failed")
    assert [event.data.attempt for event in waiting.events] == [1]
    assert samples.decide(waiting.job, "request").events[0].data.attempt == 1
    (ended,) = samples.decide(waiting.job, "cancel").events
    assert ended.data.attempt == 1
    sent = samples.decide(waiting.job, "turn").job
    assert samples.decide(sent, "request").events[0].data.attempt == 2
    assert samples.decide(samples.decide(sent, "taken").job, "request").events[0].data.attempt == 2
    back = samples.decide(sent, "not taken").job
    assert samples.decide(back, "request").events[0].data.attempt == 1
    stopped = samples.decide(samples.decide(sent, "cancel").job, "not taken")
    assert [event.data.attempt for event in stopped.events] == [1]
    assert samples.decide(stopped.job, "request").events[0].data.attempt == 1


def test_rejected_first_turn_leaves_no_attempt() -> None:
    """MRS took nothing, so a cancel finds 0 submissions."""
    back = samples.decide(samples.job("submitting"), "not taken").job
    assert samples.decide(back, "cancel").events[0].data.attempt == 0
