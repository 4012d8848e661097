"""Each attempt has one START and one end, in the transaction of its change of state."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.engine import lineage_bench, samples, unit_bench

from mrs_relay.engine.lineage import run_names


def _types(bench: unit_bench.Bench) -> list[str]:
    return [event["eventType"] for event in lineage_bench.events(bench)]


@pytest.mark.parametrize(
    ("before", "fact", "written"),
    [
        ("queued", "turn", []),
        ("submitting", "taken", ["START"]),
        ("submitting", "refused", ["START", "FAIL"]),
        ("submitting", "not taken", []),
        ("submitting", "in doubt", []),
        ("submitting, for a retry", "refused", ["START", "FAIL"]),
        ("submitting, to be cancelled", "taken", ["START"]),
        ("submitting, to be cancelled", "not taken", []),
        ("submitting, a statement that reads", "statement finished", ["START", "COMPLETE"]),
        ("submitting, a statement that reads", "statement failed", ["START", "FAIL"]),
        ("submitting, a statement that reads", "statement running", ["START"]),
        ("submitting, a statement that writes", "in doubt", ["START", "ABORT"]),
        ("doubtful", "found", ["START"]),
        ("doubtful", "not found", []),
        ("doubtful, for the last time", "not found", ["START", "ABORT"]),
        ("doubtful, to be cancelled", "not found", ["START", "ABORT"]),
        ("queued, looked up in vain", "cancel", ["START", "ABORT"]),
        ("queued", "cancel", []),
        ("queued, to be sent again", "cancel", []),
        ("submitted", "running", []),
        ("running", "progressed", []),
        ("running", "succeeded", ["COMPLETE"]),
        ("running", "failed", ["FAIL"]),
        ("running", "killed", ["ABORT"]),
        ("running", "vanished", ["ABORT"]),
        ("running", "cancel", []),
        ("running, with rows", "succeeded", []),
        ("collecting", "collected", ["COMPLETE"]),
        ("running, for a retry", "failed", ["FAIL"]),
        ("cancelling", "killed", ["ABORT"]),
        ("cancelling", "succeeded", ["COMPLETE"]),
        ("unknown", "settled", ["COMPLETE"]),
        ("succeeded", "cancel", []),
        ("submitting, a call that reads", "replied", []),
        ("submitted, a cluster", "cluster is there", []),
        ("none", "request", []),
        ("none", "invalid", []),
    ],
)
async def test_change_of_state_writes_the_run_events_of_its_attempt(before: str, fact: str, written: list[str]) -> None:
    """An attempt begins when MRS has it, or when it ends without that; calls and clusters have no runs."""
    job = samples.JOBS[before]
    bench = lineage_bench.bench(*([] if job is None else [job]))
    bench.happen(fact)
    await bench.unit.add_lineage()
    assert _types(bench) == written


async def test_run_events_go_out_with_the_key_of_the_request_and_the_time_of_the_intent() -> None:
    """So they stay in order; a START says when the submission was decided."""
    job = samples.job("submitting")
    bench = lineage_bench.bench(job)
    bench.happen("taken", "succeeded")
    await bench.unit.add_lineage()
    sent = [one for one in bench.unit.outgoing() if one.topic == lineage_bench.TOPIC]
    start, end = (json.loads(one.value or b"") for one in sent)
    assert {one.key for one in sent} == {b"k"}
    assert (start["eventTime"], end["eventTime"]) == ("2026-11-23T07:59:55.000Z", "2026-11-23T08:00:00.000Z")
    assert start["run"]["runId"] == end["run"]["runId"] == run_names.run_id(job)


async def test_unit_without_lineage_writes_none() -> None:
    """Off is the default, and adds nothing."""
    bench = unit_bench.Bench(samples.job("submitting"))
    bench.happen("taken", "succeeded")
    before = list(bench.unit.outgoing())
    await bench.unit.add_lineage()
    assert bench.unit.outgoing() == before


def test_run_id_differs_by_attempt_request_and_owner_and_never_changes() -> None:
    """UUID version 5; this id is that of every version of the relay."""
    others: list[dict[str, Any]] = [{"attempt": 2}, {"id": "order-2"}, {"source": "/b"}, {"tenant": "etl"}]
    ids = [run_names.run_id(samples.job("submitting", **change)) for change in [{}, *others]]
    assert ids[0] == "acd63097-315b-50e8-a053-1001b30dc27e"
    assert len(set(ids)) == len(ids)
