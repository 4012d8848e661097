"""Waits that outlast their owner: what was counted before a takeover counts after it, an outage of ours does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from tests.support import history, service, service_harness

from mrs_relay.engine.model import job_records

pytestmark = pytest.mark.looptime

_GONE = {"error_code": "0176", "error_msg": "The job does not exist."}
_NONE_LISTED = {"total_record": 0, "job_list": []}
_NO_OUTCOME = {"job_id": "", "job_name": "n", "user": "u", "job_type": "SparkSubmit", "job_state": "FINISHED"}


def _hide(here: service_harness.ServiceHarness) -> None:
    here.trouble(action="status", operation="ShowSingleJobExe", status=400, body=_GONE, count=None)
    here.trouble(action="status", operation="ShowJobExeListNew", status=200, body=_NONE_LISTED, count=None)


def _leave_open(here: service_harness.ServiceHarness) -> None:
    """Let MRS show that the job has ended, and not how."""
    job_id = next(event.data["mrs"]["job_id"] for event in here.events() if event.state == "submitted")
    body = {"job_detail": {**_NO_OUTCOME, "job_id": job_id, "job_result": "UNDEFINED"}}
    here.trouble(action="status", operation="ShowSingleJobExe", status=200, body=body, count=None)


_HIDING = {"job_vanished": _hide, "no_outcome": _leave_open}


def _world(code: str) -> Any:
    engine = {"vanish_after_s" if code == "job_vanished" else "outcome_within_s": 300.0}
    return service_harness.start(service_harness.settings(engine=engine), emulated={"pace": {"run_s": 6 * 3600.0}})


async def _followed(here: service_harness.ServiceHarness) -> None:
    here.put(service.job("r-1"))
    while "submitted" not in here.states("r-1"):
        await asyncio.sleep(0.2)
    await asyncio.sleep(20)


async def _take_over(here: service_harness.ServiceHarness, away_s: float = 1.0) -> None:
    await here.replicas[-1].kill()
    await asyncio.sleep(away_s)
    await here.start_replica()


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _last(here: service_harness.ServiceHarness) -> Mapping[str, Any]:
    return [event for event in here.events() if event.request_id == "r-1"][-1].data


def _notes(here: service_harness.ServiceHarness, field: str) -> int:
    """Return how many ledger records say how long something has been the case."""
    ledger = here.broker.committed(here.chosen.kafka.topics.ledger)
    values = [record.value for record in ledger if record.key and record.key[:1] != b"\0"]
    return sum(getattr(job_records.decode(value), field) is not None for value in values if value is not None)


@pytest.mark.parametrize("code", _HIDING)
async def test_takeovers_do_not_make_a_job_that_is_lost_wait_longer(code: str) -> None:
    """A new owner every 40 seconds: it is reported after the same 300 seconds."""
    async with _world(code) as here:
        await _followed(here)
        _HIDING[code](here)
        begun_s = _now_s()
        while here.states("r-1")[-1] != "unknown":
            await asyncio.sleep(40)
            await _take_over(here)
            assert _now_s() - begun_s < 420
        assert _now_s() - begun_s >= 290
        assert _last(here)["reason"]["code"] == code
        assert history.faults(["r-1"], here.events(), here.created()) == []


@pytest.mark.parametrize("code", _HIDING)
async def test_an_hour_without_polls_does_not_count_as_a_lost_job(code: str) -> None:
    """Two minutes of looks, an hour without a replica: the rest of the five minutes is still to come."""
    async with _world(code) as here:
        await _followed(here)
        _HIDING[code](here)
        await asyncio.sleep(120)
        await _take_over(here, 3600)
        back_s = _now_s()
        while here.states("r-1")[-1] != "unknown":
            await asyncio.sleep(5)
            assert _now_s() - back_s < 300
        assert _now_s() - back_s > 150


@pytest.mark.parametrize("code", _HIDING)
async def test_a_job_that_mrs_shows_again_begins_again_to_be_lost(code: str) -> None:
    """Lost for 200 seconds, shown, lost again, with a takeover in between: 300 more seconds, not 100."""
    async with _world(code) as here:
        await _followed(here)
        _HIDING[code](here)
        await asyncio.sleep(200)
        here.mrs.clear_faults()
        await asyncio.sleep(20)
        await _take_over(here)
        _HIDING[code](here)
        await asyncio.sleep(250)
        assert here.states("r-1")[-1] != "unknown"
        await asyncio.sleep(100)
        assert here.states("r-1")[-1] == "unknown"


async def test_what_is_lost_costs_a_few_ledger_records_and_what_is_shown_none() -> None:
    """Dozens of looks in 300 seconds, six notes at most; a job that is followed for hours writes nothing more."""
    async with _world("job_vanished") as here:
        await _followed(here)
        await asyncio.sleep(3600)
        counts = here.replicas[0].context.counts
        progress = here.states("r-1").count("progress")
        assert counts.commits == 4 + progress
        assert _notes(here, "missing") == 0
        _hide(here)
        before = counts.commits
        await asyncio.sleep(290)
        assert 1 <= _notes(here, "missing") <= 6
        assert counts.commits - before <= 6
        await here.until_ended(["r-1"], 60)
