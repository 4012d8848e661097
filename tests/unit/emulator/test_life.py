"""The life of a job is computed from its timetable: no state is stored, none is skipped, and time never goes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_emulator.core import checks, refusals, settings
from mrs_emulator.jobs import life, rules

PACE = settings.Pace(new_s=1, submitted_s=1, accepted_s=1, run_s=10, kill_s=1)
ORDER = ("NEW", "SUBMITTED", "ACCEPTED", "RUNNING", "FINISHED")


def wanted(
    name: str = "job",
    job_type: str = "SparkSubmit",
    arguments: tuple[str, ...] = (),
    properties: dict[str, str] | None = None,
) -> checks.Submission:
    """Return a checked submission."""
    return checks.Submission(name, job_type, arguments, properties or {})


def played(submission: checks.Submission, pace: settings.Pace = PACE) -> life.Job:
    """Return the job that a submission at time 0 becomes."""
    plan = rules.plan(submission, pace, 0)
    return life.Job("id", 0, submission.name, submission.job_type, "u", "[]", "{}", plan.timetable, plan.ending)


@pytest.mark.parametrize(
    ("second", "state", "progress", "elapsed_ms"),
    [
        (0, "NEW", 0, 0),
        (0.999, "NEW", 0, 0),
        (1, "SUBMITTED", 0, 0),
        (2, "ACCEPTED", 0, 0),
        (3, "RUNNING", 0, 0),
        (8, "RUNNING", 50, 5_000),
        (12.999, "RUNNING", 99, 9_999),
        (13, "FINISHED", 100, 10_000),
        (9999, "FINISHED", 100, 10_000),
    ],
)
def test_job_passes_through_its_states_on_time(second: float, state: str, progress: int, elapsed_ms: int) -> None:
    """Each state begins at its moment and lasts for the duration set for it."""
    seen = life.stage(played(wanted()), round(second * 1000))
    assert (seen.state, seen.progress, seen.elapsed_ms) == (state, progress, elapsed_ms)
    assert seen.result == ("SUCCEEDED" if state == "FINISHED" else "UNDEFINED")


def test_yarn_ids_appear_with_launcher_and_application() -> None:
    """The launcher is known from ACCEPTED on, the application from RUNNING on."""
    job = played(wanted())
    known = [(seen.has_launcher, seen.has_application) for seen in (life.stage(job, s * 1000) for s in (1, 2, 3, 13))]
    assert known == [(False, False), (True, False), (True, True), (True, True)]


@pytest.mark.parametrize(
    ("job_type", "state"),
    [("SparkSubmit", "FINISHED"), ("MapReduce", "FINISHED"), ("DistCp", "FINISHED"), ("Flink", "FAILED")],
)
def test_failing_job_ends_as_its_type_does(job_type: str, state: str) -> None:
    """FINISHED does not mean success: a failing Spark job is FINISHED with result FAILED."""
    seen = life.stage(played(wanted("nightly-fail", job_type)), 20_000)
    assert (seen.state, seen.result) == (state, "FAILED")


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("a-kill", ("KILLED", "KILLED")),
        ("A_FAILED_b", ("FINISHED", "FAILED")),
        ("failover", ("FINISHED", "SUCCEEDED")),
        ("stuck", ("RUNNING", "UNDEFINED")),
    ],
)
def test_word_in_the_name_decides_the_end(name: str, end: tuple[str, str]) -> None:
    """Only whole words between hyphens and underscores speak, in any case."""
    seen = life.stage(played(wanted(name)), 10**9)
    assert (seen.state, seen.result) == end


@pytest.mark.parametrize(("name", "seconds"), [("x-slow", 100), ("x-quick", 1), ("x", 10)])
def test_word_in_the_name_decides_the_duration(name: str, seconds: int) -> None:
    """A slow job takes ten times as long, a quick one a tenth."""
    assert played(wanted(name)).timetable.expected_end_ms == 3_000 + seconds * 1000


def test_property_beats_argument_beats_name() -> None:
    """The most explicit rule wins."""
    arguments = ("emulator.outcome=killed", "emulator.duration_s=2")
    by_argument = played(wanted("x-fail", arguments=arguments))
    by_property = played(wanted("x-fail", arguments=arguments, properties={"emulator.outcome": "succeeded"}))
    assert by_argument.ending == life.Ending(5_000, "KILLED", "KILLED")
    assert by_property.ending == life.Ending(5_000, "FINISHED", "SUCCEEDED")


@pytest.mark.parametrize(
    "properties",
    [
        {"emulator.duration_s": "soon"},
        {"emulator.duration_s": "-1"},
        {"emulator.duration_s": "inf"},
        {"emulator.duration_s": "nan"},
        {"emulator.outcome": "maybe"},
        {"emulator.submit": "ok"},
        {"emulator.outcom": "failed"},
    ],
)
def test_wrong_order_to_the_emulator_is_refused(properties: dict[str, str]) -> None:
    """A mistyped order is refused instead of being passed over."""
    with pytest.raises(refusals.Refusal, match="12000002"):
        rules.plan(wanted(properties=properties), PACE, 0)


def test_speed_divides_every_duration() -> None:
    """A speed of ten makes a ten-second job take one."""
    fast = PACE.model_copy(update={"speed": 10.0})
    assert played(wanted(), fast).timetable == life.Timetable(0, 100, 200, 300, 1_300)


def test_progress_of_unknown_duration_grows_and_never_promises_an_end() -> None:
    """A SQL job that runs for hours shows growing progress below 100."""
    job = played(wanted(job_type="SparkSql", arguments=("select 1",)))
    shown = [life.stage(job, ms).progress for ms in (3_000, 5_000, 20_000, 10**8)]
    assert shown == sorted(shown)
    assert shown[0] == 0
    assert shown[-1] < 100


@given(
    moments=st.lists(st.integers(0, 30_000), min_size=2, max_size=8),
    killed_at=st.none() | st.integers(1, 30_000),
    outcome=st.sampled_from(rules.Outcome),
)
def test_states_only_move_forward(moments: list[int], killed_at: int | None, outcome: rules.Outcome) -> None:
    """Whatever moments a client looks at, it sees states in order, and after the end nothing changes any more."""
    job = played(wanted(properties={"emulator.outcome": outcome}))
    if killed_at is not None and (job.ending is None or job.ending.at_ms > killed_at):
        job = life.Job(
            "id", 0, "job", "SparkSubmit", "u", "[]", "{}", job.timetable, life.Ending(killed_at, "KILLED", "KILLED")
        )
    seen = [life.stage(job, moment) for moment in sorted(moments)]
    ranks = [ORDER.index(one.state) if one.state in ORDER else len(ORDER) for one in seen]
    assert ranks == sorted(ranks)
    ended = [one for one in seen if one.result != life.UNDEFINED]
    assert all(one == ended[0] for one in ended)
    assert all((one.finished_ms == 0) == (one.result == life.UNDEFINED) for one in seen)
    assert [one.elapsed_ms for one in seen] == sorted(one.elapsed_ms for one in seen)


def test_cause_holds_for_the_first_jobs_alone_where_their_number_is_said() -> None:
    """So that a retry can succeed; without the number all jobs fail for it."""
    ordered = {"emulator.cause": "preempted", "emulator.cause_times": "2"}
    results = [rules.plan(wanted(properties=ordered), PACE, 0, earlier).ending for earlier in range(4)]
    assert [ending and ending.result for ending in results] == ["FAILED", "FAILED", "SUCCEEDED", "SUCCEEDED"]
    always = rules.plan(wanted(properties={"emulator.cause": "preempted"}), PACE, 0, 9).ending
    assert always is not None
    assert always.result == "FAILED"
    for wrong in ("x", "-1", "1" * 9):
        with pytest.raises(refusals.Refusal, match="12000002"):
            rules.plan(wanted(properties={**ordered, "emulator.cause_times": wrong}), PACE, 0)
