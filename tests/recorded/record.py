"""
Writes a ledger as this version writes it, one job in every state: `python -m tests.recorded.record > ledger-N.jsonl`.

Run it once for a release that changes the records; files that exist are never written anew.
"""

from __future__ import annotations

import base64
import json

import msgspec

from mrs_relay.engine.model import job_records, jobs
from mrs_relay.kafka import ledger_format
from mrs_relay.messages import envelope

_REASON = jobs.Reason("job_failed", "job_result", "it failed", mrs_request_id="q-1", retryable=True)
_CALL = jobs.Call("CreateCluster", body={"n": 2**70}, target=jobs.TargetState("created"))
_SEEN = jobs.MrsStatus("job-1", "RUNNING", "UNDEFINED", 42.0, "application_1", "https://mrs.invalid/1", 1, 2, 3)


def ledger() -> dict[bytes, bytes]:
    """Return key and value of one record for each state, and one of a statement."""
    written = {}
    for state in jobs.State:
        job = jobs.Job(
            source="/recorded",
            id=state.value,
            subject="job",
            digest="d1",
            state=state,
            sequence=3,
            shown="running",
            key=b"key \xff",
            arrived_ms=1_795_420_800_000,
            order=7,
            cluster="c-1",
            work=jobs.Batch("SparkSubmit", ("a", "b"), {"x": "y"}),
            name="nightly",
            priority=9,
            not_before_ms=5,
            labels={"team": "t"},
            attempt=2,
            intent_ms=1_795_420_801_000,
            seen=_SEEN,
            collect=True,
            skip=1,
            reason=_REASON,
            location="obs://bucket/rows",
            correlation_id="corr",
            expires_ms=1_796_025_745_156,
            retry=jobs.Retry(3, 2.0, ("job_failed",)),
            queue_deadline_s=10.0,
            queue_deadline_ms=11,
            run_deadline_s=12.0,
            run_deadline_ms=13,
            stop=_REASON,
            asked_by="c-1",
            asked_source="/asker",
            came_from=2,
        )

        written[bytes(job.ledger_key)] = job_records.encode(job)

    for job in _others():
        written[bytes(job.ledger_key)] = job_records.encode(job)
    return written


def _others() -> list[jobs.Job]:
    """Return works, and fields that no job above has."""
    work = jobs.Presto("select 1", "db", "obs://bucket/", repeatable=True)
    job = jobs.Job(
        "/recorded", "statement", "sql", "d2", jobs.State.SUBMITTING, statement=True, work=work, cluster="c-1"
    )

    return [
        job,
        msgspec.structs.replace(job, id="call", subject="cluster", statement=False, work=_CALL),
        msgspec.structs.replace(job, id="goal", subject="cluster", statement=False, work=_CALL.target),
        msgspec.structs.replace(job, id="kind", state=jobs.State.FAILED, kind="statement", work=None, expires_ms=14),
        msgspec.structs.replace(
            job,
            id="full",
            state=jobs.State.RUNNING,
            choice=jobs.Choice("etl", {"team": "t"}, "c-1"),
            traceparent="00-1-2-01",
            tracestate="a=b",
            sender=envelope.Sender("alice", "web"),
            asked_sender=envelope.Sender("bob", None),
            duplicates=("job-2",),
            api="v1.1",
            tenant="billing",
            doubt=jobs.Doubt(2, is_open=True, message="no reply"),
            missing=jobs.Span(15, 16),
            unsettled=jobs.Span(17, 18),
            delivery=jobs.Delivery("obs://bucket/results", inline=False),
            later=b'"next":{"a":[1,null]}',
        ),
    ]


def lines() -> list[str]:
    """Return one JSON line for each record: key and value in base64, and what the job must read as."""
    return [
        json.dumps(
            {
                "key": base64.b64encode(key).decode(),
                "value": base64.b64encode(value).decode(),
                "reads": json.loads(job_records.encode(job_records.decode(value), ledger_format.NAMED)),
            }
        )
        for key, value in ledger().items()
    ]


if __name__ == "__main__":
    print("\n".join(lines()))
