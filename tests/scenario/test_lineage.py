"""Run events are in the same transaction as the state: one START and one end for each attempt, whatever is killed."""

from __future__ import annotations

import asyncio
import collections
import json
from typing import Any

import pytest
from tests.support import history, service, service_harness

from mrs_relay.engine.model import job_records

pytestmark = pytest.mark.looptime

_TOPIC = "mrs.lineage"
_ENDS = {"COMPLETE", "FAIL", "ABORT"}
_OF_STATE = {"succeeded": "COMPLETE", "failed": "FAIL", "cancelled": "ABORT", "unknown": "ABORT", "retrying": "FAIL"}


def _settings(**lineage: Any) -> Any:
    return service_harness.settings(kafka={"topics": {"lineage": _TOPIC}}, lineage=lineage)


def _runs(here: service_harness.ServiceHarness) -> dict[tuple[str, int], list[str]]:
    """Return the types of all committed run events by request and attempt."""
    found = collections.defaultdict(list)
    for record in here.broker.committed(_TOPIC):
        event = json.loads(record.value or b"")
        facet = event["run"]["facets"]["mrs_attempt"]
        found[facet["requestId"], facet["attempt"]].append(event["eventType"])
    return dict(found)


def _wanted(here: service_harness.ServiceHarness) -> dict[tuple[str, int], list[str]]:
    """Return the types that the requests' own events call for."""
    found: dict[tuple[str, int], list[str]] = {}
    for event in here.events():
        end, attempt = _OF_STATE.get(event.state), event.data["attempt"]
        if end is not None and attempt and not event.data.get("repeated"):
            found[event.request_id, attempt] = ["START", end]
    return found


async def test_each_attempt_has_one_start_and_one_end_although_replicas_are_killed() -> None:
    """Replicas die in the middle of everything; jobs fail, are retried and cancelled, and replies are lost."""
    retry = {"attempts": 3, "backoff_s": 5, "on": ["job_failed", "job_killed", "refused"]}
    async with service_harness.start(_settings(), partitions=2, replicas=2) as here:
        here.trouble(action="drop_after", operation="CreateExecuteJob", count=3)
        here.trouble(action="drop_before", operation="CreateExecuteJob", count=3)
        here.trouble(action="drop_after", operation="ExecuteSql", count=1)
        names = []
        for number in range(12):
            names += [f"j-{number}", f"s-{number}"]
            name = "fail-job" if number % 3 == 0 else "job"
            here.put(service.job(f"j-{number}", name=name, retry=retry), partition=number % 2)
            engine = ("spark", "hive", "presto")[number % 3]
            here.put(service.sql(f"s-{number}", engine, "show tables"), partition=number % 2)
        here.put(service.cancel("c-1", "j-1"), partition=1)

        for _ in range(12):
            await asyncio.sleep(7)
            await here.replicas[-2].kill()
            await here.start_replica()
        await here.until_ended(names, 4 * 3600)

        assert history.faults(names, here.events(), here.created()) == []
        assert _runs(here) == _wanted(here)
        assert {kind for kinds in _runs(here).values() for kind in kinds} >= {"START", "COMPLETE"}


async def test_sent_arguments_of_a_spark_program_are_those_of_the_ledger() -> None:
    """The run that Spark gets as its parent is the one that the topic has."""
    async with service_harness.start(_settings(spark_parent=True)) as here:
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 3600)
        (run,) = {json.loads(one.value or b"")["run"]["runId"] for one in here.broker.committed(_TOPIC)}
        ledger = here.broker.committed(here.chosen.kafka.topics.ledger)
        jobs = [job_records.decode(one.value) for one in ledger if one.value and one.key and one.key[:1] != b"\0"]
        (intent,) = [job.work for job in jobs if job.state == "submitting"]
        assert f"spark.openlineage.parentRunId={run}" in getattr(intent, "arguments", ())


async def test_lineage_is_off_unless_a_topic_is_named() -> None:
    """No topic, no record."""
    async with service_harness.start() as here:
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 3600)
        assert here.replicas[0].context.lineage is None
