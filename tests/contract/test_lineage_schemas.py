"""Run events follow OpenLineage's own schemas, and OpenLineage's own client for Python reads them."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
import referencing
from openlineage.client import event_v2, facet_v2, serde
from tests.unit.engine import lineage_bench, samples

from mrs_relay.engine.lineage import run_events
from mrs_relay.engine.model import jobs
from mrs_relay.messages import lineage

_SCHEMAS = [
    json.loads(path.read_text()) for path in sorted((pathlib.Path(__file__).parent / "openlineage").glob("*.json"))
]
_REGISTRY: referencing.Registry[Any] = referencing.Registry().with_resources(
    [(one["$id"], referencing.Resource.from_contents(one)) for one in [*_SCHEMAS, lineage.attempt_schema()]]
)
_SQL = "create table o as select a.x as y, sum(b.v) s from a join b on a.i = b.i where p = 'z' group by 1"
_LABELS = {"job": "load", run_events.PARENT: "ns/dag.task/6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"}
_RETRIED: dict[str, Any] = {"retry": jobs.Retry(2, 30.0, ("job_failed",))}


def _validate(value: object, reference: str) -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": reference}
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, registry=_REGISTRY, format_checker=checker).validate(value)


@pytest.mark.parametrize(
    ("before", "changes", "facts"),
    [
        ("submitting", {"work": jobs.Batch("SparkSql", (_SQL,)), "subject": "sql"}, ["taken", "running", "succeeded"]),
        ("submitting", {"work": jobs.Batch("HiveSql", (_SQL,)), "labels": _LABELS, **_RETRIED}, ["taken", "failed"]),
        ("submitting", {"work": jobs.Batch("DistCp", ("obs://b/in", "/out"))}, ["taken", "killed"]),
        ("submitting", {"api": "v1.1"}, ["refused"]),
        ("submitting, a statement that reads", {"labels": _LABELS}, ["statement running", "statement failed"]),
        ("submitting, a statement that reads", {"work": jobs.Presto(_SQL, "dw", "obs://b/x")}, ["statement finished"]),
        ("doubtful", {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, ["found", "vanished"]),
        ("cancelling", {}, ["killed"]),
    ],
)
async def test_run_events_follow_the_schemas_and_are_read_by_the_client(
    before: str, changes: dict[str, Any], facts: list[str]
) -> None:
    """The events and each facet in them, by the schema that it names itself."""
    found = await lineage_bench.written(samples.job(before, **changes), *facts, sql="full")
    assert found
    for event in found:
        _validate(event, event["schemaURL"])
        for facet in _facets(event):
            _validate(facet, facet["_schemaURL"])
        read = _read(event)
        assert json.loads(serde.Serde.to_json(read))["run"]["runId"] == event["run"]["runId"]


def test_schemas_refuse_what_is_no_run_event() -> None:
    """The checks above can fail."""
    with pytest.raises(jsonschema.ValidationError):
        _validate({"eventType": "START"}, run_events.EVENT)


def _facets(event: dict[str, Any]) -> list[dict[str, Any]]:
    holders = [event["run"], event["job"], *event.get("inputs", []), *event.get("outputs", [])]
    return [facet for holder in holders for facet in holder.get("facets", {}).values()]


def _read(event: dict[str, Any]) -> event_v2.RunEvent:
    """Make the client's own classes of an event; they check ids, times and addresses."""
    parent = event["run"]["facets"].get("parent")
    if parent is not None:
        run, job = facet_v2.parent_run.Run(**parent["run"]), facet_v2.parent_run.Job(**parent["job"])
        facet_v2.parent_run.ParentRunFacet(run, job)
    return event_v2.RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(event["run"]["runId"]),
        job=event_v2.Job(event["job"]["namespace"], event["job"]["name"]),
        eventType=event_v2.RunState(event["eventType"]),
        inputs=[event_v2.InputDataset(one["namespace"], one["name"]) for one in event.get("inputs", [])],
        outputs=[event_v2.OutputDataset(one["namespace"], one["name"]) for one in event.get("outputs", [])],
    )
