"""Any operation by message, in virtual time: every row of the API overview, lost replies, what is not allowed."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support import overview, scenarios, scenarios_v11, service, service_harness

from mrs_relay import errors
from mrs_relay.mrs.operations import registry

VIRTUAL = pytest.mark.looptime

_QUIET: dict[str, Any] = {"limits": {"on": False}, "seed": 7, **scenarios.LIVE}


@dataclass
class _Clock:
    """Time that the next call lets pass."""

    owed_s: float = 0.0

    def pass_s(self, seconds: float) -> None:
        self.owed_s += seconds


@dataclass
class _ByMessage:
    """Calls operations as a scene does, but through request messages and events."""

    here: service_harness.ServiceHarness
    clock: _Clock = field(default_factory=_Clock)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def mrs(self) -> Any:
        return self.here.mrs

    async def call(
        self,
        name: str,
        path: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        await asyncio.sleep(self.clock.owed_s)
        self.clock.owed_s = 0.0
        request_id = f"c-{next(self.numbers)}"
        self.here.put(call(request_id, name, path, query, body))
        await self.here.until_ended([request_id], 3600)
        last = [event for event in self.here.events() if event.request_id == request_id][-1]
        if last.state != "succeeded":
            raise errors.MrsRefused(last.data["reason"]["message"], code=last.data["reason"]["code"])
        return registry.named(name).reply.model_validate(last.data.get("result", {}).get("reply", {}))


def call(
    request_id: str,
    name: str,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a message that calls an operation."""
    data = {"operation": name, "path": path or {}, "query": query or {}, "body": body}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.call", "data": data}).encode()


_SQL = "ShowSqlResultWithJob"


async def _play(name: str, emulated: Mapping[str, Any] | None = None) -> None:
    chosen = service_harness.settings(mrs={"budgets": False})
    async with service_harness.start(chosen, emulated={**_QUIET, **(emulated or {})}) as here:
        mrs: Any = _ByMessage(here)
        await scenarios_v11.ALL[name](mrs)
        assert name in {event.data.get("operation") for event in here.events() if event.state == "accepted"}


@VIRTUAL
@pytest.mark.parametrize("name", sorted(set(overview.OVERVIEW) - {_SQL}))
async def test_every_operation_of_the_overview_can_be_called_by_message(name: str) -> None:
    """One message, one event with MRS's reply, and the effect is there."""
    await _play(name)


async def test_rows_of_a_job_can_be_read_by_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one operation that needs real time: SQL runs in a thread."""
    monkeypatch.setattr(_Clock, "pass_s", lambda _self, _seconds: None)
    await _play(_SQL, {"pace": {"speed": 1000.0}})


_AT = {"cluster_id": service.CLUSTER}


@VIRTUAL
async def test_a_read_whose_reply_is_lost_is_simply_repeated() -> None:
    """Reading twice does no harm."""
    async with service_harness.start() as here:
        here.trouble(operation="ShowClusterDetails", action="drop_after", count=1)
        here.put(call("c-1", "ShowClusterDetails", _AT))
        await here.until_ended(["c-1"], 600)
        assert here.states("c-1") == ["accepted", "succeeded"]
        assert here.events()[-1].data["result"]["reply"]["cluster"]["clusterId"] == service.CLUSTER


@VIRTUAL
async def test_a_repeatable_write_whose_reply_is_lost_is_repeated() -> None:
    """Setting the same tag twice leaves one tag."""
    async with service_harness.start() as here:
        here.trouble(operation="CreateClusterTag", action="drop_after", count=1)
        here.put(call("c-1", "CreateClusterTag", _AT, body={"tag": {"key": "owner", "value": "data"}}))
        here.put(call("c-2", "ListClusterTags", _AT))
        await here.until_ended(["c-1", "c-2"], 600)
        assert here.states("c-1") == ["accepted", "succeeded"]


@VIRTUAL
async def test_a_read_that_mrs_answers_badly_is_repeated_with_growing_waits() -> None:
    """A bad gateway for minutes: a handful of reads, and the answer when there is one."""
    async with service_harness.start() as here:
        here.trouble(operation="ListClusterTags", action="status", status=502, count=5)
        here.put(call("c-1", "ListClusterTags", _AT))
        await here.until_ended(["c-1"], 3600)
        assert here.states("c-1") == ["accepted", "succeeded"]
        times = [one.at_s for one in here.replicas[0].wire.answered if one.target.endswith("/tags")]
        waits = [later - sooner for sooner, later in itertools.pairwise(times)]
        assert [round(wait_s, -1) for wait_s in waits] == [10, 20, 40, 80, 160]


@VIRTUAL
async def test_any_other_write_whose_reply_is_lost_ends_as_unknown() -> None:
    """What may have happened is not repeated; a person settles it."""
    async with service_harness.start() as here:
        here.trouble(operation="CreateExecuteJob", action="drop_after", count=1)
        here.put(call("c-1", "CreateExecuteJob", _AT, body=scenarios.JOB))
        await here.until_ended(["c-1"], 600)
        assert here.states("c-1") == ["accepted", "unknown"]
        assert here.events()[-1].data["reason"]["code"] == "reply_lost"
        assert len(here.created()) == 1
        here.put(service.resolve("s-1", "c-1", "succeeded"))
        await asyncio.sleep(5)
        assert here.states("c-1") == ["accepted", "unknown", "succeeded"]


@VIRTUAL
async def test_what_mrs_refuses_is_failed_with_its_code() -> None:
    """MRS's own code and request id come back."""
    async with service_harness.start() as here:
        here.put(call("c-1", "ShowClusterDetails", {"cluster_id": "none"}))
        await here.until_ended(["c-1"], 60)
        reason = here.events()[-1].data["reason"]
        assert (reason["class"], reason["code"]) == ("refused", "12000003")
        assert reason["mrs_request_id"]


@VIRTUAL
@pytest.mark.parametrize(
    ("name", "parts", "expected"),
    [
        ("NoSuchOperation", {}, "data.operation"),
        ("ShowClusterDetails", {}, "cluster_id"),
        ("ShowClusterDetails", {"path": {"cluster_id": "a/b"}}, "cluster_id"),
        ("CreateClusterTag", {"path": _AT, "body": {"tag": {"key": "a" * 37}}}, "tag.key"),
        ("CreateClusterTag", {"path": _AT}, "tag"),
        ("ListClusters", {"query": {"pageSize": 0}}, "pageSize"),
        ("ListClusters", {"query": {"wrong": 1}}, "wrong"),
    ],
)
async def test_a_call_that_mrs_could_never_take_is_rejected_at_once(
    name: str, parts: dict[str, Any], expected: str
) -> None:
    """The operation's own model judges path, query and body; the event names the field, and nothing is sent."""
    async with service_harness.start() as here:
        here.put(call("c-1", name, **parts))
        await here.until_ended(["c-1"], 60)
        assert here.states("c-1") == ["rejected"]
        assert expected in here.events()[-1].data["reason"]["message"]
        assert here.replicas[0].wire.sent == 0


@VIRTUAL
async def test_arguments_and_secrets_of_a_reply_are_left_out() -> None:
    """What never appears in events does not appear in replies to calls either."""
    async with service_harness.start() as here:
        here.put(service.job("r-1", name="nightly"))
        await here.until_ended(["r-1"], 600)
        job_id = here.events()[-1].data["mrs"]["job_id"]
        here.put(call("c-1", "ShowSingleJobExe", {**_AT, "job_execution_id": job_id}))
        await here.until_ended(["c-1"], 600)
        detail = here.events()[-1].data["result"]["reply"]["job_detail"]
        assert detail["job_id"] == job_id
        assert not {"arguments", "properties"} & set(detail)


@VIRTUAL
async def test_jobs_are_deleted_by_message() -> None:
    """`mrs.job.delete` takes the records of jobs from MRS's list."""
    async with service_harness.start() as here:
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 600)
        job_id = here.events()[-1].data["mrs"]["job_id"]
        data = {"cluster": service.CLUSTER, "job_ids": [job_id]}
        here.put(json.dumps({"id": "d-1", "source": "/test", "type": "mrs.job.delete", "data": data}).encode())
        await here.until_ended(["d-1"], 600)
        assert here.states("d-1") == ["accepted", "succeeded"]
        here.put(call("c-1", "ShowSingleJobExe", {**_AT, "job_execution_id": job_id}))
        await here.until_ended(["c-1"], 600)
        assert here.events()[-1].data["reason"]["code"] == "0176"


@VIRTUAL
async def test_calls_keep_to_the_budget_of_their_operation() -> None:
    """Sixty writes a minute and no refusal by MRS: a backlog waits its turn."""
    async with service_harness.start() as here:
        ids = [f"c-{number}" for number in range(150)]
        for one in ids:
            here.put(call(one, "CancelSql", {**_AT, "sql_id": "none"}))
        await here.until_ended(ids, 3600)
        assert 140 <= asyncio.get_running_loop().time() <= 170
