"""
Build OpenLineage run events. Pure.

Source: OpenLineage 2-0-2 and its facets; the addresses of their schemas are in the events.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

import mrs_relay
from mrs_relay.common import clock
from mrs_relay.engine.lineage import datasets, run_names, runs, settings, statements
from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import codec, lineage

PARENT: Final = "openlineage_parent_id"
"""
Label of a request that names the run that it belongs to: `<namespace>/<job name>/<run id>`, as Airflow's macro
`lineage_parent_id` writes it.
"""

PRODUCER: Final = f"urn:mrs-relay:{mrs_relay.__version__}"
_SCHEMAS: Final = "https://openlineage.io/spec"
EVENT: Final = f"{_SCHEMAS}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_INTEGRATION: Final = "MRS"

Json = dict[str, Any]


def build(
    change: runs.Change, namespace: str, rules: settings.LineageSettings, found: statements.Found = statements.NOTHING
) -> Json:
    """
    Build the event of a change. What a job reads and writes is in its START.

    Args:
        change: what happened.
        namespace: of jobs.
        rules: what may be shown.
        found: what the job's SQL reads and writes.
    """
    job = change.job
    facets = {"jobType": _facet("2-0-4", "JobTypeJobFacet", _job_type(job))}
    event: Json = {
        "eventType": change.type,
        "eventTime": clock.rfc3339(change.time_ms),
        "producer": PRODUCER,
        "schemaURL": EVENT,
        "run": {"runId": run_names.run_id(job), "facets": _run_facets(change)},
        "job": {"namespace": namespace, "name": run_names.job_name(job), "facets": facets},
    }
    if change.type != "START":
        return event

    if (sql := _sql(job, found, rules.sql)) is not None:
        facets["sql"] = sql
    namer = datasets.Namer(job.cluster, rules.tables)
    event["inputs"] = namer.inputs(job.work, found)
    event["outputs"] = [
        {**dataset, "facets": {"columnLineage": _columns(columns)}} if columns else dataset
        for dataset, columns in namer.outputs(job.work, found)
    ]
    return event


def smaller(event: Json) -> Json:
    """Return the event without its larger parts, for a topic that does not take it whole."""
    facets = {name: facet for name, facet in event["job"]["facets"].items() if name != "sql"}
    kept = {name: value for name, value in event.items() if name not in {"inputs", "outputs"}}
    return {**kept, "job": {**event["job"], "facets": facets}}


def encode(event: Json) -> bytes:
    """Encode an event as JSON."""
    return codec.encode(event)


def _facet(version: str, name: str, content: Json) -> Json:
    return {
        "_producer": PRODUCER,
        "_schemaURL": f"{_SCHEMAS}/facets/{version}/{name}.json#/$defs/{name}",
        **content,
    }


def _job_type(job: jobs.Job) -> Json:
    kind = "QUERY" if job.subject == "sql" else "JOB"
    return {"processingType": "BATCH", "integration": _INTEGRATION, "jobType": kind}


def _run_facets(change: runs.Change) -> Json:
    job, data = change.job, change.event.data
    facets: Json = {"mrs_attempt": {"_producer": PRODUCER, "_schemaURL": lineage.ATTEMPT, **_attempt(change)}}

    if (parent := _parent(job)) is not None:
        facets["parent"] = _facet("1-2-0", "ParentRunFacet", parent)
    if labels := {name: value for name, value in (job.labels or {}).items() if name != PARENT}:
        tags = [{"key": name, "value": value, "source": "mrs-relay"} for name, value in labels.items()]
        facets["tags"] = _facet("1-0-0", "TagsRunFacet", {"tags": tags})
    if job.statement and data.mrs is not None and data.mrs.job_id:
        facets["externalQuery"] = _facet(
            "1-0-2", "ExternalQueryRunFacet", {"externalQueryId": data.mrs.job_id, "source": _INTEGRATION}
        )
    if change.type in {"FAIL", "ABORT"} and data.reason is not None:
        text = f"{data.reason.code}: {data.reason.message}"
        facets["errorMessage"] = _facet(
            "1-0-1", "ErrorMessageRunFacet", {"message": text, "programmingLanguage": "SQL" if _is_sql(job) else "N/A"}
        )
    return facets


def _is_sql(job: jobs.Job) -> bool:
    return job.subject == "sql"


def _attempt(change: runs.Change) -> Json:
    """Return the content of the facet `mrs_attempt`: the attempt and its job on MRS, without the request's content."""
    job, data = change.job, change.event.data
    mrs = data.mrs

    content = {
        "requestSource": job.source,
        "requestId": job.id,
        "eventId": change.event.event_id,
        "attempt": job.attempt,
        "state": data.state,
        "cluster": job.cluster,
        "operation": kinds.of(job).operation(job),
        "jobName": job.mrs_name,
        "jobId": mrs and mrs.job_id,
        "jobState": mrs and mrs.job_state,
        "jobResult": mrs and mrs.job_result,
        "appId": mrs and mrs.app_id,
        "startedAt": mrs and mrs.started_at,
        "finishedAt": mrs and mrs.finished_at,
        "reason": data.reason and data.reason.code,
        "correlationId": job.correlation_id,
        "traceparent": job.traceparent,
    }

    return {name: value for name, value in content.items() if value}


def _parent(job: jobs.Job) -> Json | None:
    """Return the run that the request belongs to, if its label names one."""
    words = (job.labels or {}).get(PARENT, "").rsplit("/", 2)
    if len(words) != len(("namespace", "name", "run id")) or not all(words):
        return None
    namespace, name, run = words
    try:
        run = str(uuid.UUID(run))
    except ValueError:
        return None
    return {"run": {"runId": run}, "job": {"namespace": namespace, "name": name}}


def _sql(job: jobs.Job, found: statements.Found, shown: settings.Sql) -> Json | None:
    query = datasets.query_of(job.work)
    if query is None or shown == "none":
        return None
    text = query.text if shown == "full" else found.redacted
    return _facet("1-1-0", "SQLJobFacet", {"query": text, "dialect": query.dialect}) if text else None


def _columns(columns: dict[str, list[Json]]) -> Json:
    fields = {name: {"inputFields": inputs} for name, inputs in columns.items()}
    return _facet("1-2-0", "ColumnLineageDatasetFacet", {"fields": fields})
