"""The samples of the API reference, kept as data in `samples/`: requests are valid, replies are understood."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import cells, clocks, overview

from mrs_relay import errors
from mrs_relay.mrs import replies, transport
from mrs_relay.mrs.models import base, clusters, creating, jobs, jobs_v11
from mrs_relay.mrs.operations import registry

_FOLDER = Path(__file__).parent / "samples"


def _all() -> list[dict[str, Any]]:
    return [one for path in sorted(_FOLDER.glob("*.json")) for one in json.loads(path.read_text())]


def _of(kind: str, below_status: int = 1000) -> Iterator[dict[str, Any]]:
    """Give the samples of a kind one by one; the error of a test that fails on one names it."""
    for one in _all():
        if one["kind"] == kind and one.get("status", 0) < below_status:
            yield one


def _named(sample: dict[str, Any]) -> contextlib.AbstractContextManager[None]:
    return cells.cell(sample["operation"], sample["name"])


def _model(name: str, part: str) -> type[base.Asked]:
    model = getattr(registry.OPERATIONS[name], part)
    assert model is not None
    return model  # type: ignore[no-any-return]  # the registry knows operations of any models


def _read(sample: Mapping[str, Any]) -> base.Reply:
    wanted = registry.OPERATIONS[sample["operation"]]
    body = b"" if sample.get("body") is None else json.dumps(sample["body"]).encode()
    reader = replies.Reader(clocks.HandClock(), 30.0)
    reply: base.Reply = reader.read(wanted, wanted.path, transport.Response(sample["status"], body))
    return reply


def test_every_operation_has_a_sample() -> None:
    """The samples cover the whole overview."""
    assert {one["operation"] for one in _all()} == set(overview.OVERVIEW)


def test_a_sample_request_is_valid_and_sent_as_it_is() -> None:
    """No documented request is refused, and what it says is what is sent, numbers as text aside."""
    for sample in _of("request"):
        with _named(sample):
            body = _model(sample["operation"], "body").model_validate(sample["body"])
            sent = json.loads(body.model_dump_json(exclude_none=True))
            assert _as_text(sample["body"]) == _part(_as_text(sent), _as_text(sample["body"]))


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_text(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_text(each) for each in value]
    return str(value)


def _part(sent: Any, wanted: Any) -> Any:
    """Return what of `sent` the sample speaks of: defaults that we add stay out."""
    if isinstance(sent, dict) and isinstance(wanted, dict):
        return {name: _part(each, wanted[name]) for name, each in sent.items() if name in wanted}
    if isinstance(sent, list) and isinstance(wanted, list) and len(sent) == len(wanted):
        return [_part(each, other) for each, other in zip(sent, wanted, strict=True)]
    return sent


def test_a_sample_query_is_valid_and_sent_as_it_is() -> None:
    """No documented query is refused, and it keeps its names."""
    for sample in _of("query"):
        with _named(sample):
            query = _model(sample["operation"], "query").model_validate(sample["query"])
            assert _as_text(query.model_dump(exclude_none=True, mode="json")) == _as_text(sample["query"])


def test_a_sample_reply_is_understood() -> None:
    """A documented reply is read, and a documented error becomes one of the tree with its code."""
    for sample in _of("reply"):
        with _named(sample):
            _check_understood(sample)


def _check_understood(sample: dict[str, Any]) -> None:
    body = sample.get("body") or {}
    code = body.get("error_code") or body.get("errorCode")
    if code is None:
        reply = _read(sample)
        assert isinstance(reply, registry.OPERATIONS[sample["operation"]].reply)
    else:
        with pytest.raises(errors.MrsError) as caught:
            _read(sample)
        assert caught.value.code == code
        assert caught.value.status == sample["status"]


def test_unknown_fields_are_kept() -> None:
    """What MRS adds to a reply some day reaches the caller."""
    for sample in _of("reply", below_status=300):
        with _named(sample):
            reply = _read({**sample, "body": {**(sample.get("body") or {}), "invented": {"by": ["MRS"]}}})
            assert (reply.model_extra or {})["invented"] == {"by": ["MRS"]}


def test_numbers_may_come_as_text() -> None:
    """Pages of 2021 print every number in quotes."""
    for sample in _of("reply", below_status=300):
        with _named(sample):
            _read({**sample, "body": _quoted(sample.get("body"))})


def _quoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _quoted(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_quoted(each) for each in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _sample(name: str, kind: str, number: int = 0) -> dict[str, Any]:
    return [one for one in _all() if one["operation"] == name and one["kind"] == kind][number]


def test_the_fields_that_decide_are_read() -> None:
    """Ids, states and outcomes have the sample's values."""
    flow = _read(_sample("RunJobFlow", "reply"))
    assert isinstance(flow, creating.ClusterCreated)
    assert flow.cluster_id == "0d4be0a2-5a8f-4d0c-bb19-6c3ad6d5a2f7"

    shown = _read(_sample("ShowClusterDetails", "reply"))
    assert isinstance(shown, clusters.ClusterReply)
    assert (shown.cluster.cluster_state, shown.cluster.core_node_num) == ("scaling-out", 3)

    job = _read(_sample("ShowJobExes", "reply"))
    assert isinstance(job, jobs_v11.JobReplyV11)
    assert job.job_execution.ended
    assert job.job_execution.job_final_status == jobs_v11.FinalStatus.SUCCEEDED

    page = _read(_sample("ShowJobExeListNew", "reply"))
    assert isinstance(page, jobs.JobListReply)
    assert len(page.jobs) == 1

    executions = _read(_sample("ListJobExecutions", "reply"))
    assert isinstance(executions, jobs_v11.ExecutionListReply)
    assert [one.ended for one in executions.job_executions] == [True, False]
