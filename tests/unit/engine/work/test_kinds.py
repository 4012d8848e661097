"""Each request and each job has one adapter, and the ledger tells which."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import pytest
from tests.unit.engine import fakes, samples

from mrs_relay import errors
from mrs_relay.engine import partition_jobs
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import requests

_CLUSTER: Final = {"cluster": samples.CLUSTER}
_SQL: Final = {**_CLUSTER, "statement": "select 1"}
_REQUESTS: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("mrs.job.submit", {**_CLUSTER, "job": {"job_type": "Flink"}}, "batch_v2"),
    ("mrs.job.submit", {**_CLUSTER, "api": "v1.1", "job": {"job_type": "MapReduce"}}, "batch_v11"),
    ("mrs.sql.submit", {**_SQL, "engine": "spark"}, "batch_v2"),
    ("mrs.sql.submit", {**_SQL, "engine": "hive"}, "batch_v2"),
    ("mrs.sql.submit", {**_SQL, "engine": "presto"}, "statement"),
    ("mrs.call", {"operation": "ListClusters"}, "call"),
    ("mrs.job.delete", {**_CLUSTER, "job_ids": ["j-1"]}, "call"),
    ("mrs.cluster.create", {"body": {}}, "cluster"),
    ("mrs.cluster.flow", {"body": {}}, "cluster"),
    ("mrs.cluster.resize", {**_CLUSTER, "parameters": {}}, "cluster"),
    ("mrs.cluster.delete", _CLUSTER, "cluster"),
]


@pytest.mark.parametrize(("message_type", "data", "kind"), _REQUESTS)
def test_one_kind_takes_a_request(message_type: str, data: dict[str, Any], kind: str) -> None:
    """None is taken by two, so the order of the registry means nothing."""
    request: Any = requests.MODELS[message_type].model_validate(data)
    assert [one.name for one in kinds.ADAPTERS.values() if one.takes(request)] == [kind]
    assert kinds.taking(request).name == kind


def test_every_request_that_becomes_a_job_is_in_the_table_above() -> None:
    """A further type of request says here which kind takes it."""
    assert {requests.MODELS[name] for name, _, _ in _REQUESTS} == set(get_args(requests.Work))


@pytest.mark.parametrize(
    ("work", "fields", "kind"),
    [
        (samples.BATCH, {}, "batch_v2"),
        (samples.BATCH, {"api": "v1.1"}, "batch_v11"),
        (None, {"api": "v1.1"}, "batch_v11"),
        (samples.READ, {"statement": True}, "statement"),
        (None, {"statement": True, "subject": "sql"}, "statement"),
        (samples.CALL, {}, "call"),
        (samples.CALL, {"subject": "job"}, "call"),
        (None, {"subject": "call"}, "call"),
        (samples.CREATION, {}, "cluster"),
        (jobs.TargetState("created"), {"subject": "cluster"}, "cluster"),
        (None, {"subject": "cluster"}, "cluster"),
    ],
)
def test_a_job_of_an_unnamed_kind_is_reported_by_its_other_fields(
    work: jobs.Work | None, fields: dict[str, Any], kind: str
) -> None:
    """As it was submitted, as it is followed, and when its work has been let go."""
    job = msgspec.structs.replace(samples.request(work or samples.BATCH), work=work, **fields)
    assert kinds.of(job).name == kind


def test_kinds_that_older_ledgers_hold_are_not_named() -> None:
    """So their records stay as they were, and earlier versions read them."""
    assert {kinds.recorded(one) for one in kinds.ADAPTERS.values()} == {""}
    for file in sorted((Path(__file__).parents[3] / "recorded").glob("ledger-1*.jsonl")):
        for line in file.read_text().splitlines():
            job = job_records.decode(base64.b64decode(json.loads(line)["value"]))
            assert job.kind == ""
            assert kinds.of(job).name in kinds.ADAPTERS


def test_a_partition_with_a_job_of_an_unknown_kind_is_not_taken() -> None:
    """Only the version that wrote it can work on it; for this one it would look like a batch job."""
    job = msgspec.structs.replace(samples.request(), kind="later")
    with pytest.raises(errors.StateUnreadable, match="'later'"):
        asyncio.run(partition_jobs.load(fakes.lease(restored={bytes(job.ledger_key): job_records.encode(job)})))
