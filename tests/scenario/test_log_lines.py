"""Lines of the log that are about a request name it, and its trace, whatever module writes them."""

from __future__ import annotations

import asyncio
import pathlib
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import structlog
from tests.support import objects, service, service_harness, spans

import mrs_relay
from mrs_relay.engine import decision_log

pytestmark = pytest.mark.looptime

_STEPS: Final = pathlib.Path(mrs_relay.__file__).parent / "engine/execution"
_OF_NO_REQUEST: Final = {"cluster_load_not_read"}
"""Events of steps that several requests share."""


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What is logged, with the fields that are bound."""
    before, kept = structlog.get_config(), structlog.testing.LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, kept])
    try:
        yield kept.entries
    finally:
        structlog.configure(**before)


def _events_of_steps() -> set[str]:
    """Return the events that the steps of a request can log."""
    found = re.findall(r'_log\.\w+\(\s*"(\w+)"', "".join(path.read_text() for path in _STEPS.glob("*.py")))
    return set(found) - _OF_NO_REQUEST


async def test_each_line_of_a_step_names_its_request_and_trace(lines: list[Any]) -> None:
    """Submissions that are refused, throttled, lost or not sent, look-ups, stops and rows that cannot be read."""
    async with service_harness.start(emulated={"pace": {"run_s": 600}}) as here:
        for action, more in (
            ("status", {"status": 503, "count": 1}),
            ("status", {"status": 429, "count": 1}),
            ("drop_after", {"count": 1}),
        ):
            here.trouble(action=action, operation="CreateExecuteJob", **more)
        here.trouble(action="status", operation="ShowJobExeListNew", status=500, count=2)
        here.trouble(action="status", operation="ShowSqlResultWithJob", status=500, count=1)
        here.trouble(action="status", operation="StopJob", status=500, count=1)
        for number in range(4):
            here.put(service.job(f"r-{number}"), traceparent=f"00-{spans.TRACE + number:032x}-00000000000000aa-01")
        here.put(service.sql("s-1", "spark", "select 1"), traceparent=spans.TRACEPARENT)
        await asyncio.sleep(120)
        here.put(service.cancel("c-1", "r-3"))
        await here.until_ended(["r-0", "r-1", "r-2", "r-3", "s-1"], 3600)

    about = [line for line in lines if line["event"] in _events_of_steps()]
    assert len({line["event"] for line in about}) >= 3
    for line in about:
        assert line["source"] == "/test", line
        number = int(line["request"].partition("-")[2]) if line["request"].startswith("r-") else 0
        assert line["trace_id"] == f"{spans.TRACE + number:032x}", line


async def test_lines_about_late_rows_name_their_request_and_trace_too(lines: list[Any]) -> None:
    """Their reading begins when the request has ended, and after a takeover."""
    chosen = service_harness.settings(results={"path": "obs://lake/results"}, engine={"late_rows_s": 900})
    async with service_harness.start(chosen, replicas=0) as here:
        here.objects = door = objects.ObjectDoor(here.mrs)
        door.absent = 10**9
        await here.start_replica()
        here.put(service.sql("r-1", "presto", "select 1", result={}), traceparent=spans.TRACEPARENT)
        await here.until_ended(["r-1"], 300)
        while here.states("r-1")[-1] != "result":
            await asyncio.sleep(1)
    about = [line for line in lines if line["event"] == "result_not_read"]
    assert len(about) > 12
    assert {(line["request"], line.get("source"), line.get("trace_id")) for line in about} == {
        ("r-1", "/test", f"{spans.TRACE:032x}")
    }


async def test_a_bug_in_a_step_names_its_request_too(lines: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is logged is not in the step itself."""

    async def failing(*_given: object, **_options: object) -> None:
        raise ValueError("a bug")

    async with service_harness.start() as here:
        monkeypatch.setattr(here.replicas[0].context.submitter, "submit", failing)
        here.put(service.job("r-1"), traceparent=spans.TRACEPARENT)
        while not [line for line in lines if line["event"] == "internal_error"]:
            await asyncio.sleep(1)
    (line, *_) = [line for line in lines if line["event"] == "internal_error"]
    assert (line["request"], line["trace_id"]) == ("r-1", f"{spans.TRACE:032x}")


async def test_the_life_of_a_request_is_told_in_one_line_for_each_decision(lines: list[Any]) -> None:
    """From its arrival to its end, and that of a lost reply, a cancel and a message without an id beside it."""
    async with service_harness.start(emulated={"pace": {"run_s": 60}}) as here:
        here.put(service.job("r-1"), traceparent=spans.TRACEPARENT)
        await here.until_ended(["r-1"], 600)
        here.trouble(action="drop_after", operation="CreateExecuteJob")
        here.put(service.job("r-2"))
        await here.until_ended(["r-2"], 600)
        here.put(service.cancel("c-1", "r-2"))
        here.put(service.job("r-2", name="another"))
        here.put(b"no message")
        await asyncio.sleep(10)

    names = {line.name for line in (*decision_log.OF_EVENTS.values(), *decision_log.OF_FACTS.values())}
    names |= {decision_log.ANSWERED.name, decision_log.REFUSED.name, decision_log.LETTER.name}
    names.remove("request_admitted")  # the submission waits, or it does not, by what else happens at the start
    shown = [line for line in lines if line["event"] in names and line["log_level"] != "debug"]
    life = {name: [line["event"] for line in shown if line.get("request") == name] for name in ("r-1", "r-2", None)}
    end = ["request_submitted", "request_started", "request_succeeded"]
    assert life["r-1"] == ["request_accepted", *end]
    assert life["r-2"] == ["request_accepted", "submission_in_doubt", *end, "message_answered", "message_rejected"]
    assert life[None] == ["dead_letter"]
    assert {line["trace_id"] for line in shown if line.get("request") == "r-1"} == {f"{spans.TRACE:032x}"}
    assert all(isinstance(line["partition"], int) for line in shown)


async def test_a_line_of_no_request_names_none(lines: list[Any]) -> None:
    """What is bound for a step ends with it."""
    async with service_harness.start() as here:
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 600)
    assert [line for line in lines if line["event"] == "partition_owned" and "request" in line] == []
