"""
How scripted jobs behave: MapReduce, SparkSubmit, SparkPython, Flink and DistCp run no program, they play a life.

`plan` turns a submission into a timetable and an ending; `RULES` says the same to people (`mrs-relay emulate --help`).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from mrs_emulator.clusters import stages
from mrs_emulator.core import checks, refusals, settings
from mrs_emulator.jobs import causes, life

RULES = (
    """\
Jobs of the types SparkSql, HiveSql, SparkScript, HiveScript and Presto SQL really run, on DuckDB, over the tables of
--data: they last as long as their SQL and end as it ends. All other types play a scripted life:

  NEW -> SUBMITTED -> ACCEPTED -> RUNNING -> its end

How long it runs and how it ends, the first rule that speaks wins:

  1. a property of the job:       emulator.duration_s = 12.5
                                  emulator.outcome = succeeded | failed | killed | stuck
                                  emulator.submit = failed     (accepted with state FAILED, no job comes to be)
                                  emulator.cause = memory | class | table | permission | preempted | quota | disk
                                  (it fails, and its log in OBS says why)
                                  emulator.cause_times = 1     (so do only the first so many jobs of a cluster
                                  with these arguments and properties; later ones succeed)
  2. an argument of the job:      emulator.duration_s=12.5, emulator.outcome=failed, emulator.submit=failed
  3. a word in the job's name:    fail or failed -> failed, kill or killed -> killed, stuck -> stuck (never ends),
                                  slow -> ten times as long, quick -> a tenth
                                  (words are separated by - or _, in any case: nightly-FAIL-7 fails, failover does not)
  4. otherwise it succeeds after the usual duration.

A failing job ends as FINISHED with job_result FAILED (Spark, MapReduce, DistCp) or as FAILED with FAILED (Flink);
a killed one as KILLED with KILLED. A SQL job whose statement fails ends FINISHED/FAILED (Spark) or FAILED/FAILED
(Hive). All durations are divided by the setting `speed`.

"""
    + stages.RULES
)

_SLOW = 10.0
_WORDS = re.compile(r"[-_]+")
_PREFIX = "emulator."
_MOST_DIGITS = 6


class Outcome(enum.StrEnum):
    """How a scripted job ends."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    STUCK = "stuck"


_BY_WORD = {
    "fail": Outcome.FAILED,
    "failed": Outcome.FAILED,
    "kill": Outcome.KILLED,
    "killed": Outcome.KILLED,
    "stuck": Outcome.STUCK,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What will become of a submission.

    Attributes:
        timetable: when the states of the job begin.
        ending: how it ends; None for SQL (it shows) and for stuck jobs (never).
        error: why it fails, where its submission says so.
    """

    timetable: life.Timetable
    ending: life.Ending | None
    error: str | None = None


def counts_earlier(wanted: checks.Submission) -> bool:
    """Return whether the life of a job depends on how many like it there were."""
    return f"{_PREFIX}cause_times" in wanted.properties


def plan(wanted: checks.Submission, pace: settings.Pace, now_ms: int, earlier: int = 0) -> Plan:
    """
    Return the life of a job submitted at `now_ms` (milliseconds since the epoch).

    Args:
        wanted: the submission.
        pace: durations.
        now_ms: when it was submitted.
        earlier: how many jobs with the same arguments and properties the cluster had before, where that counts.

    Raises:
        Refusal: 12000002, an `emulator.` property or argument has a wrong value.
    """
    orders = _orders(wanted)
    if earlier >= _times(orders):
        del orders["cause"]
    created = now_ms
    submitted = created + _ms(pace.new_s, pace)
    accepted = submitted + _ms(pace.submitted_s, pace)
    running = accepted + _ms(pace.accepted_s, pace)
    _check_known(orders)
    if wanted.runs_sql:
        return Plan(life.Timetable(created, submitted, accepted, running), None)

    words = {word.lower() for word in _WORDS.split(wanted.name)}
    end = running + _ms(_duration_s(orders, words, pace), pace)
    timetable = life.Timetable(created, submitted, accepted, running, end)
    ending = _ending(_outcome(orders, words), wanted.job_type, end)
    return Plan(timetable, ending, causes.TEXTS.get(orders.get("cause", "")))


def refused(wanted: checks.Submission) -> bool:
    """
    Return whether the submission itself shall report state FAILED, and no job comes to be.

    Raises:
        Refusal: 12000002, an `emulator.` property or argument has a wrong value.
    """
    orders = _orders(wanted)
    _check_known(orders)
    return "submit" in orders


def _times(orders: dict[str, str]) -> float:
    """Return how many jobs like this one fail for its cause."""
    text = orders.get("cause_times")
    if text is None or "cause" not in orders:
        return float("inf")
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise refusals.invalid("emulator.cause_times must be a whole number")
    return int(text)


def _ms(seconds: float, pace: settings.Pace) -> int:
    return round(seconds * 1000 / pace.speed)


def _orders(wanted: checks.Submission) -> dict[str, str]:
    """Return what the job's own arguments and properties say about its life; properties win."""
    orders: dict[str, str] = {}
    for one in wanted.arguments:
        if one.startswith(_PREFIX) and "=" in one:
            name, _, value = one.removeprefix(_PREFIX).partition("=")
            orders[name] = value
    for name, value in wanted.properties.items():
        if name.startswith(_PREFIX):
            orders[name.removeprefix(_PREFIX)] = value
    return orders


def _check_known(orders: dict[str, str]) -> None:
    unknown = orders.keys() - {"duration_s", "outcome", "submit", "cause", "cause_times"}
    if unknown:
        raise refusals.invalid(f"the emulator has no setting {_PREFIX}{min(unknown)}")
    if orders.get("submit", "failed") != "failed":
        raise refusals.invalid("emulator.submit must be failed")
    if orders.get("cause", "memory") not in causes.TEXTS:
        raise refusals.invalid(f"emulator.cause must be one of {', '.join(causes.TEXTS)}")


def _duration_s(orders: dict[str, str], words: set[str], pace: settings.Pace) -> float:
    text = orders.get("duration_s")
    if text is not None:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            raise refusals.invalid("emulator.duration_s must be a number of seconds, 0 or more")
        return seconds
    if "slow" in words:
        return pace.run_s * _SLOW
    return pace.run_s / _SLOW if "quick" in words else pace.run_s


def _outcome(orders: dict[str, str], words: set[str]) -> Outcome:
    text = orders.get("outcome", "failed" if "cause" in orders else None)
    if text is not None:
        try:
            return Outcome(text)
        except ValueError:
            raise refusals.invalid(f"emulator.outcome must be one of {', '.join(Outcome)}") from None
    return next((outcome for word, outcome in _BY_WORD.items() if word in words), Outcome.SUCCEEDED)


def _ending(outcome: Outcome, job_type: str, at_ms: int) -> life.Ending | None:
    match outcome:
        case Outcome.SUCCEEDED:
            return life.Ending(at_ms, "FINISHED", "SUCCEEDED")
        case Outcome.FAILED:
            return failure(job_type, at_ms)
        case Outcome.KILLED:
            return life.Ending(at_ms, "KILLED", "KILLED")
        case Outcome.STUCK:
            return None


def failure(job_type: str, at_ms: int) -> life.Ending:
    """
    Return how a job of this type shows that it failed.

    Source: FINISHED with FAILED was recorded from the real service for Spark; for Hive and Flink the documents leave
    it open, and FAILED with FAILED gives clients the other documented spelling to read.
    """
    unclean = job_type == "Flink" or job_type.startswith("Hive")
    return life.Ending(at_ms, "FAILED" if unclean else "FINISHED", "FAILED")
