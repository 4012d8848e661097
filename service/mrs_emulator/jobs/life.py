"""
The life of a job as a pure function of its timetable and the time; nothing ticks.

    NEW → SUBMITTED → ACCEPTED → RUNNING → FINISHED | FAILED | KILLED

A job knows when each state begins. How it ends is known from the start (a scripted job), written down when it happens
(SQL, a kill), or never (a stuck job). So 100,000 jobs cost no timers, and any moment can be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

UNDEFINED = "UNDEFINED"


@dataclass(frozen=True, slots=True)
class Timetable:
    """
    When each state of a job begins, in milliseconds since the epoch.

    Attributes:
        created_ms: NEW; MRS shows it as submitted_time.
        submitted_ms: SUBMITTED.
        accepted_ms: ACCEPTED; the launcher exists from here on.
        running_ms: RUNNING; the application exists from here on.
        expected_end_ms: end that progress is measured against, or None when it is unknown.
    """

    created_ms: int
    submitted_ms: int
    accepted_ms: int
    running_ms: int
    expected_end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How and when a job ends, in milliseconds since the epoch; the moment may lie ahead."""

    at_ms: int
    state: str
    result: str


@dataclass(frozen=True, slots=True)
class Job:
    """
    One job as MRS remembers it.

    Attributes:
        job_id: the MRS job id.
        number: counts the jobs of the cluster from 0; the YARN ids derive from it.
        name: job_name.
        job_type: as shown, so never SparkPython.
        user: who submitted it.
        arguments: rendered as queries show them.
        properties: rendered as queries show them.
        timetable: when its states begin.
        ending: how it ends, if that is known.
        error: why it failed, for the emulator's user; MRS itself does not say.
        queue: YARN queue.
    """

    job_id: str
    number: int
    name: str
    job_type: str
    user: str
    arguments: str
    properties: str
    timetable: Timetable
    ending: Ending | None = None
    error: str | None = None
    queue: str = "default"

    def ended(self, now_ms: int) -> bool:
        """Return whether the job is over at `now_ms`."""
        return self.ending is not None and self.ending.at_ms <= now_ms


@dataclass(frozen=True, slots=True)
class Stage:
    """
    What a query sees of a job at one moment.

    Attributes:
        state: job_state.
        result: job_result.
        progress: 0 to 100.
        started_ms: when it began to run, or 0.
        finished_ms: when it ended, or 0.
        elapsed_ms: how long it has run, or 0.
        has_launcher: whether the launcher's YARN id is known.
        has_application: whether the application's YARN id is known.
    """

    state: str
    result: str
    progress: int
    started_ms: int
    finished_ms: int
    elapsed_ms: int
    has_launcher: bool
    has_application: bool


def state_of(job: Job, now_ms: int) -> str:
    """Return job_state at `now_ms`."""
    ending = job.ending
    if ending is not None and ending.at_ms <= now_ms:
        return ending.state
    timetable = job.timetable
    if now_ms >= timetable.running_ms:
        return "RUNNING"
    if now_ms >= timetable.accepted_ms:
        return "ACCEPTED"
    return "SUBMITTED" if now_ms >= timetable.submitted_ms else "NEW"


def next_change_ms(job: Job, now_ms: int) -> int | None:
    """Return the first moment after `now_ms` at which the job's state changes, or None when none is known."""
    ending = job.ending
    if ending is not None and ending.at_ms <= now_ms:
        return None
    timetable = job.timetable
    for at_ms in (timetable.submitted_ms, timetable.accepted_ms, timetable.running_ms):
        if at_ms > now_ms:
            return at_ms if ending is None else min(at_ms, ending.at_ms)
    return None if ending is None else ending.at_ms


def result_of(job: Job, now_ms: int) -> str:
    """Return job_result at `now_ms`."""
    ending = job.ending
    return ending.result if ending is not None and ending.at_ms <= now_ms else UNDEFINED


def stage(job: Job, now_ms: int) -> Stage:
    """Return what a query at `now_ms` sees of the job."""
    timetable = job.timetable
    ending = job.ending if job.ended(now_ms) else None
    seen_ms = ending.at_ms if ending else now_ms
    ran = seen_ms >= timetable.running_ms
    started_ms = timetable.running_ms if ran else 0
    state = state_of(job, now_ms)

    return Stage(
        state=state,
        result=result_of(job, now_ms),
        progress=100 if state == "FINISHED" else _progress(timetable, seen_ms),
        started_ms=started_ms,
        finished_ms=ending.at_ms if ending else 0,
        elapsed_ms=seen_ms - started_ms if ran else 0,
        has_launcher=seen_ms >= timetable.accepted_ms,
        has_application=ran,
    )


def _progress(timetable: Timetable, now_ms: int) -> int:
    """Return percent of the expected duration, never 100 before the end; unknown durations creep up to 90."""
    ran_ms = now_ms - timetable.running_ms
    if ran_ms <= 0:
        return 0
    if timetable.expected_end_ms is None:
        return 90 * ran_ms // (ran_ms + 10_000)
    whole_ms = timetable.expected_end_ms - timetable.running_ms
    return min(99, 100 * ran_ms // whole_ms) if whole_ms > 0 else 99


def flipped(ending: Ending) -> Ending:
    """Return the ending with the opposite result; the state stays, and a kill stays a kill."""
    opposite = {"SUCCEEDED": "FAILED", "FAILED": "SUCCEEDED"}.get(ending.result, ending.result)
    return Ending(ending.at_ms, ending.state, opposite)
