"""The end of a job's log: read within its time, from its folder alone, and looked at for a cause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine.execution import job_logs
from mrs_relay.engine.model import decisions, facts, jobs
from mrs_relay.obs import client, paths

pytestmark = pytest.mark.looptime

OOM = b'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space\n'
PLAIN = b"nothing to see\n"

Answer = bytes | errors.ObsError | None
"""The content of an object, an error, or None for silence."""


class _Objects:
    """OBS that answers each path as the script says, the last answer again and again."""

    def __init__(self, script: dict[str, list[Answer]]) -> None:
        self.script = script
        self.asked: list[str] = []

    async def read_tail(self, place: paths.Place, most_bytes: int) -> client.Tail:
        self.asked.append(str(place))
        answers = self.script[str(place)]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, errors.ObsError):
            raise answer
        assert answer is not None
        return client.Tail(answer[-most_bytes:], is_whole=len(answer) <= most_bytes)


def _ending(time: clock.Clock, left_s: float = 30.0, *logs: str) -> jobs.Job:
    until_ms = time.now_ms() + round(left_s * 1000)
    ending = msgspec.structs.replace(samples.ENDING, until_ms=until_ms, logs=logs or (samples.LOG,))
    return samples.job("running, its log is read", ending=ending)


async def _outcome(*answers: Answer, log: str = samples.LOG) -> str:
    """Return what is counted of a reading; the last answer is that of all further reads."""
    time = clock.LoopClock()
    logs = job_logs.JobLogs(cast("client.Client", _Objects({log: [*answers]})), time)
    await logs.read(_ending(time, 30.0, log), samples.LOGS)
    (outcome,) = logs.counts.outcomes.elements()
    assert sum(logs.counts.durations.counts) == 1
    return outcome


async def _read(
    objects: _Objects, make: Callable[[clock.Clock], jobs.Job] = _ending, rules: decisions.LogRules = samples.LOGS
) -> facts.LogRead:
    time = clock.LoopClock()
    return await job_logs.JobLogs(cast("client.Client", objects), time).read(make(time), rules)


async def test_cause_and_the_end_of_the_log_come_back() -> None:
    """With the path that was read."""
    read = await _read(_Objects({samples.LOG: [OOM]}))
    assert (read.attempt, read.cause, read.log, read.unavailable) == (1, "out_of_memory", samples.LOG, "")
    assert read.text == OOM.decode().rstrip()


async def test_log_that_is_missing_or_fails_is_looked_for_until_its_time_is_up(looptime: float) -> None:
    """It may come seconds after the end of the job; then the reason is the last one."""
    late = _Objects({samples.LOG: [errors.ObsMissing("not yet"), errors.ObsDown("a cut reply"), OOM]})
    assert (await _read(late)).cause == "out_of_memory"
    assert len(late.asked) == 3

    begun = float(looptime)
    never = await _read(_Objects({samples.LOG: [errors.ObsMissing("OBS has no object")]}))
    assert (never.cause, never.text, never.unavailable) == (None, "", "OBS has no object")
    assert 29 <= looptime - begun <= 31


async def test_obs_that_never_answers_takes_no_longer_than_the_rules_say(looptime: float) -> None:
    """Whatever the ledger of another clock says; and a replica that comes too late still tries once."""
    silent = _Objects({samples.LOG: [None]})
    far = await _read(silent, lambda time: _ending(time, 3600.0))
    assert looptime <= 31
    assert "did not answer" in far.unavailable
    begun = float(looptime)
    late = await _read(silent, lambda time: _ending(time, -100.0))
    assert looptime - begun == pytest.approx(5)
    assert "did not answer" in late.unavailable


async def test_refused_log_is_not_asked_for_again() -> None:
    """Rights do not come back within half a minute."""
    objects = _Objects({samples.LOG: [errors.ObsRefused("OBS does not let us read it")]})
    read = await _read(objects)
    assert read.unavailable == "OBS does not let us read it"
    assert len(objects.asked) == 1


async def test_file_that_shows_a_cause_counts_before_the_first_that_exists() -> None:
    """Without a cause in any, the first that exists is shown."""
    first, second, third = (f"obs://lake/logs/j/{name}" for name in ("a", "b", "c"))

    def job(time: clock.Clock) -> jobs.Job:
        return _ending(time, 30.0, first, second, third)

    missing = errors.ObsMissing("none")
    read = await _read(_Objects({first: [missing], second: [PLAIN], third: [OOM]}), job)
    assert (read.cause, read.log) == ("out_of_memory", third)
    read = await _read(_Objects({first: [missing], second: [PLAIN], third: [PLAIN]}), job)
    assert (read.cause, read.log, read.text) == (None, second, "nothing to see")
    for error in (errors.ObsRefused("no right"), errors.ObsDown("away")):
        read = await _read(_Objects({first: [missing], second: [PLAIN], third: [error]}), job)
        assert (read.log, read.text, read.unavailable) == (second, "nothing to see", "")


async def test_what_a_look_has_shown_counts_when_the_time_is_up_in_the_middle_of_it(looptime: float) -> None:
    """A further file that is never answered takes nothing away."""
    first, second = f"{samples.LOG}.1", f"{samples.LOG}.2"
    objects = _Objects({first: [PLAIN], second: [None]})
    read = await _read(objects, lambda time: _ending(time, 30.0, first, second))
    assert (read.log, read.text, read.unavailable) == (first, "nothing to see", "")
    assert looptime == pytest.approx(30)


async def test_each_reading_is_counted_once_by_its_outcome() -> None:
    """For metrics; however often it was tried."""
    missing, down = errors.ObsMissing("not there"), errors.ObsDown("away")
    assert await _outcome(missing, down, OOM) == "found"
    assert await _outcome(PLAIN) == "found"
    assert await _outcome(down, missing) == "missing"
    assert await _outcome(errors.ObsRefused("no right")) == "unreadable"
    assert await _outcome(b" ") == "unreadable"
    assert await _outcome(OOM, log="obs://lake/other/stderr") == "unreadable"
    assert await _outcome(missing, down) == "timed_out"
    assert await _outcome(None) == "timed_out"


async def test_nothing_outside_of_the_folder_is_read_and_nothing_without_rules() -> None:
    """A ledger outlives settings."""
    objects = _Objects({})
    beside = ("obs://pond/logs/j/stderr", "obs://lake/logsx/j")
    for log in (*beside, "obs://lake/logs/../secret/x", "file:///etc/passwd", "obs://lake/logs/"):
        read = await _read(objects, lambda time, log=log: _ending(time, 30.0, log))  # type: ignore[misc]  # of the loop
        assert "the path of the log is not used: it" in read.unavailable
    time = clock.LoopClock()
    for reader, rules in (
        (job_logs.JobLogs(None, time), samples.LOGS),
        (job_logs.JobLogs(cast("client.Client", objects), time), None),
    ):
        assert "causes.path is not set" in (await reader.read(_ending(time), rules)).unavailable
    assert objects.asked == []


async def test_secrets_leave_the_reader_in_no_fact() -> None:
    """They are removed where the log is read; a line that was cut off in front is left out."""
    rules = msgspec.structs.replace(samples.LOGS, tail_bytes=1024)
    content = b"password=" + b"hunter2" * 200 + b"\nfs.obs.secret.key=hunter2\nend\n"
    read = await _read(_Objects({samples.LOG: [content]}), rules=rules)
    assert read.text == "fs.obs.secret.key=…\nend"


async def test_empty_log_says_so() -> None:
    """Which is no reason to wait."""
    read = await _read(_Objects({samples.LOG: [b" \n"]}))
    assert read.unavailable == f"{samples.LOG} is empty"
