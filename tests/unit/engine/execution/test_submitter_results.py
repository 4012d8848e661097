"""Reads the result of a success: at once, again, and for a minute at most."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import structlog
from tests.unit.engine import submitting

from mrs_relay import errors
from mrs_relay.common import clock


class _Rows:
    """Answers reads of a result with what is in its script, then with the last of it again."""

    def __init__(self, *script: errors.MrsError | float | str) -> None:
        self.script = list(script)
        self.times: list[float] = []

    async def call(self, _operation: Any, **_: object) -> Any:
        self.times.append(asyncio.get_running_loop().time())
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, float):
            await asyncio.sleep(answer)
        if isinstance(answer, errors.MrsError):
            raise answer
        return SimpleNamespace(statements=[[{"n": answer}]])


_UNREADABLE = errors.MrsUntouched("the SQL result could not be read", status=500, code="0182")


def _collected(mrs: _Rows, **changes: Any) -> tuple[str | None, float, list[Any]]:
    """Return why there are no rows, when that was known, and what was logged."""

    async def collect() -> tuple[str | None, float]:
        job = msgspec.structs.replace(submitting.job("collecting"), **changes)
        fact = await submitting.made(mrs).collect(job)
        return fact.result.unavailable, asyncio.get_running_loop().time()

    with structlog.testing.capture_logs() as logs:
        why, at_s = submitting.run(collect())
    return why, at_s, [entry for entry in logs if entry["event"] == "result_not_read"]


def test_a_result_that_mrs_cannot_read_is_reported_at_once() -> None:
    """MRS answers 0182 as often as it is asked for a result over its own limit: twice is enough, each try is logged."""
    mrs = _Rows(_UNREADABLE)
    why, at_s, logged = _collected(mrs)
    assert why is not None
    assert "over its own limit" in why
    assert "0182" in why
    assert at_s <= 2
    assert [entry["code"] for entry in logged] == ["0182", "0182"]
    assert len(mrs.times) == 2


def test_a_result_that_once_could_not_be_read_is_reported() -> None:
    """The second answer counts."""
    why, at_s, logged = _collected(_Rows(_UNREADABLE, "1"))
    assert (why, len(logged)) == (None, 1)
    assert at_s <= 1


@pytest.mark.parametrize(
    "trouble",
    [
        errors.MrsUntouched("no connection"),
        errors.MrsBusy("the job is running", code="0183"),
        errors.MrsThrottled("429", retry_after_s=20.0),
        errors.MrsThrottled("429", retry_after_s=900.0),
        100.0,
    ],
)
def test_a_success_is_reported_within_a_minute(trouble: errors.MrsError | float) -> None:
    """Whatever keeps the rows, also a read without an answer: the job has succeeded, and what is missing is said."""
    why, at_s, logged = _collected(_Rows(trouble))
    assert why
    assert at_s <= 45
    assert logged


def test_the_time_for_a_result_continues_for_the_next_owner() -> None:
    """It counts from when the success was seen; a result is asked for once in any case."""
    now_ms = clock.LoopClock().now_ms
    mrs = _Rows(errors.MrsUntouched("no connection"))

    async def collect(left_ms: int) -> float:
        job = msgspec.structs.replace(submitting.job("collecting"), run_deadline_ms=now_ms() + left_ms)
        await submitting.made(mrs).collect(job)
        return asyncio.get_running_loop().time()

    assert submitting.run(collect(20_000)) <= 20
    mrs.times.clear()
    assert submitting.run(collect(-3_600_000)) <= 5
    assert mrs.times
