"""
Writes a ledger as this version writes it, one job in every state: `python -m tests.recorded.record > ledger-N.jsonl`.

Run it once for a release that changes the records; files that exist are never written anew.
"""

from __future__ import annotations

import base64
import json

import msgspec

from mrs_relay.engine.model import job_records, jobs

_REASON = jobs.Reason("job_failed", "job_result", "it failed", mrs_request_id="q-1", retryable=True)
_SEEN = jobs.MrsStatus("job-1", "RUNNING", "UNDEFINED", 42.0, "application_1", "https://mrs.invalid/1", 1, 2, 3)


def ledger() -> dict[bytes, bytes]:
    """Key and value of one record for each state, and one of a statement."""
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
    work = jobs.Presto("select 1", "db", "obs://bucket/", repeatable=True)
    statement = jobs.Job(
        "/recorded", "statement", "sql", "d2", jobs.State.SUBMITTING, statement=True, work=work, cluster="c-1"
    )
    written[bytes(statement.ledger_key)] = job_records.encode(statement)
    return written


def lines() -> list[str]:
    """One JSON line for each record: key and value in base64, and what the job must read as."""
    return [
        json.dumps(
            {
                "key": base64.b64encode(key).decode(),
                "value": base64.b64encode(value).decode(),
                "reads": msgspec.to_builtins(job_records.decode(value)),
            }
        )
        for key, value in ledger().items()
    ]


if __name__ == "__main__":
    print("\n".join(lines()))
