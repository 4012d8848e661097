"""
Every operation of the API overview, through the client against the emulator: success, documented errors, odd spellings.

The two share no code, so what both agree on was read twice from the reference.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from tests.support import cells, emulated, overview, scenarios, scenarios_v11

from mrs_emulator.core import core, settings
from mrs_relay import errors
from mrs_relay.mrs.operations import registry


@pytest.fixture
async def mrs() -> AsyncIterator[emulated.Pair]:
    """A client at an emulator with one running cluster."""
    async with emulated.pair(scenarios.LIVE) as opened:
        yield opened


def test_every_operation_of_the_overview_is_there() -> None:
    """Each has a value in the client, a route in the emulator and a scene here, under the same name."""
    emulator = core.Emulator(settings.EmulatorSettings())
    routes = {one.operation: (one.verb, one.template) for one in emulator._table.routes if one.gateway}
    assert routes == overview.OVERVIEW
    assert set(registry.OPERATIONS) == set(overview.OVERVIEW)
    assert set(scenarios_v11.ALL) == set(overview.OVERVIEW)


@pytest.mark.parametrize("name", overview.OVERVIEW)
async def test_the_operation_succeeds(name: str, mrs: emulated.Pair) -> None:
    """What the client sends, the emulator takes; what it answers, the client understands; the effect is there."""
    await scenarios_v11.ALL[name](mrs)
    verb, template = overview.OVERVIEW[name]
    assert any(_is_at(template, request.target) for request in mrs.door.sent if request.verb == verb)


def _is_at(template: str, target: str) -> bool:
    wanted, found = template.split("/"), target.partition("?")[0].split("/")
    return len(wanted) == len(found) and all(
        one.startswith("{") or one == other for one, other in zip(wanted, found, strict=True)
    )


@pytest.mark.parametrize(
    "quirks", [{"numbers_as_strings": True}, {"business_errors_as_500": True}, {"job_status": 200}], ids=str
)
async def test_the_operations_succeed_in_older_regions_too(quirks: dict[str, Any]) -> None:
    """Numbers printed as text, errors with HTTP 500 and 200 instead of 202 change nothing for the caller."""
    for name in overview.OVERVIEW:
        with cells.cell(name):
            async with emulated.pair({**scenarios.LIVE, "quirks": quirks}) as mrs:
                await scenarios_v11.ALL[name](mrs)


_OLD_SCENES: Final = [name for name, (_, path) in overview.OVERVIEW.items() if path.startswith("/v1.1")]


@pytest.mark.parametrize(
    "quirk",
    [
        {"flat_submit_reply": True},
        {"execution_info": True},
        {"starting_shown": False},
        {"missing_status": 400},
        {"strict_required": False},
        {"unique_names": False},
    ],
    ids=str,
)
async def test_the_old_operations_succeed_however_mrs_reads_its_pages(quirk: dict[str, Any]) -> None:
    """Where the V1.1 pages disagree, the client understands each reading."""
    for name in _OLD_SCENES:
        with cells.cell(name):
            async with emulated.pair({**scenarios.LIVE, "v11": quirk}) as mrs:
                await scenarios_v11.ALL[name](mrs)


_MISSING: Final = {"cluster_id": "00000000-0000-0000-0000-000000000000"}
_NO_JOB: Final = {**scenarios.AT, "job_execution_id": "none"}
_NO_RUN: Final = {"job_execution_id": "none"}

REFUSED: Final[list[tuple[str, dict[str, str], dict[str, Any], str]]] = [
    ("ShowClusterDetails", _MISSING, {}, "12000003"),
    ("DeleteCluster", _MISSING, {}, "12000003"),
    ("ListHosts", _MISSING, {}, "12000003"),
    ("ListClusterTags", _MISSING, {}, "12000003"),
    ("CreateClusterTag", _MISSING, {"body": {"tag": {"key": "a"}}}, "12000003"),
    ("DeleteClusterTag", {**scenarios.AT, "key": "none"}, {}, "12005003"),
    ("BatchCreateClusterTags", _MISSING, {"body": {"action": "create", "tags": [{"key": "a"}]}}, "12000003"),
    (
        "BatchCreateClusterTags",
        scenarios.AT,
        {"body": {"action": "create", "tags": [{"key": f"k{number}"} for number in range(20)]}},
        "12005001",
    ),
    ("CreateScalingPolicy", _MISSING, {"body": scenarios.sample("v11-clusters", "CreateScalingPolicy")}, "12000003"),
    (
        "UpdateClusterScaling",
        _MISSING,
        {"body": {"parameters": {"scale_type": "scale_out", "instances": 1}}},
        "12000003",
    ),
    (
        "UpdateClusterScaling",
        scenarios.AT,
        {"body": {"parameters": {"scale_type": "scale_out", "instances": 500}}},
        "12000028",
    ),
    ("CreateExecuteJob", _MISSING, {"body": scenarios.JOB}, "12000003"),
    ("ShowSingleJobExe", _NO_JOB, {}, "0176"),
    ("ShowSqlResultWithJob", _NO_JOB, {}, "0176"),
    ("StopJob", _NO_JOB, {}, "0176"),
    ("ShowJobExeListNew", _MISSING, {}, "12000003"),
    ("ExecuteSql", _MISSING, {"body": {"sql_content": "show tables"}}, "12000003"),
    ("ShowJobExes", {"job_exe_id": "none"}, {}, "0176"),
    ("ListExecuteJob", {}, {"query": _MISSING}, "12000003"),
    ("CreateAndExecuteJob", {}, {"body": {**scenarios_v11.OLD_JOB, **_MISSING}}, "12000003"),
    ("ShowJobExecution", _NO_RUN, {}, "0176"),
    ("CancelJobExecution", _NO_RUN, {}, "0176"),
    ("DeleteJobExecution", _NO_RUN, {}, "0176"),
    ("ShowDataSource", {"data_source_id": "none"}, {}, "12000002"),
    ("UpdateDataSource", {"data_source_id": "none"}, {"body": {"type": "hdfs"}}, "12000002"),
    ("DeleteDataSource", {"data_source_id": "none"}, {}, "12000002"),
    ("ShowJobBinary", {"job_binary_id": "none"}, {}, "12000002"),
    ("UpdateJobBinary", {"job_binary_id": "none"}, {"body": {"description": ""}}, "12000002"),
    ("DeleteJobBinary", {"job_binary_id": "none"}, {}, "12000002"),
    ("ShowJob", {"job_id": "none"}, {}, "12000002"),
    ("UpdateJob", {"job_id": "none"}, {"body": {"name": "a"}}, "12000002"),
    ("DeleteJob", {"job_id": "none"}, {}, "12000002"),
]


@pytest.mark.parametrize(("name", "path", "parts", "code"), REFUSED, ids=lambda part: part if type(part) is str else "")
async def test_what_is_not_there_is_refused(
    name: str, path: dict[str, str], parts: dict[str, Any], code: str, mrs: emulated.Pair
) -> None:
    """A call about something that does not exist, or over a limit, ends with the documented code and is final."""
    with pytest.raises(errors.MrsRefused) as caught:
        await mrs.call(name, path, **parts)
    assert caught.value.code == code
    assert caught.value.request_id


@pytest.mark.parametrize(("name", "file"), [("CreateCluster", "v2-clusters"), ("RunJobFlow", "v2-clusters")])
async def test_a_cluster_name_is_taken_once(name: str, file: str, mrs: emulated.Pair) -> None:
    """Ordering twice under one name is refused the second time: a lost reply can be looked up by the name."""
    body = scenarios.sample(file, name)
    await mrs.call(name, body=body)
    with pytest.raises(errors.MrsRefused, match="12000043"):
        await mrs.call(name, body=body)


async def test_a_cluster_that_is_busy_wants_patience(mrs: emulated.Pair) -> None:
    """Scaling, deleting and submitting at the wrong moment are refused for now, not for good."""
    body = {"parameters": {"scale_type": "scale_out", "instances": 1}}
    await mrs.call("UpdateClusterScaling", scenarios.AT, body=body)
    with pytest.raises(errors.MrsBusy):
        await mrs.call("UpdateClusterScaling", scenarios.AT, body=body)
    with pytest.raises(errors.MrsBusy, match="12000021"):
        await mrs.call("DeleteCluster", scenarios.AT)
    await scenarios.submitted(mrs)
    mrs.clock.pass_s(61)
    await mrs.call("DeleteCluster", scenarios.AT)
    with pytest.raises(errors.MrsBusy):
        await mrs.call("CreateExecuteJob", scenarios.AT, body=scenarios.JOB)


async def test_ten_jobs_are_enough_for_a_cluster(mrs: emulated.Pair) -> None:
    """The eleventh running job is refused for now."""
    for number in range(10):
        await scenarios.submitted(mrs, job_name=f"job-{number}")
    with pytest.raises(errors.MrsBusy, match="0177"):
        await scenarios.submitted(mrs, job_name="job-10")


async def test_the_budget_of_a_minute_makes_everybody_wait() -> None:
    """A 429 is a wait, for reads and writes alike."""
    async with emulated.pair({"limits": {"on": True}}) as mrs:
        started = await mrs.call("ExecuteSql", scenarios.AT, body={"sql_content": "show tables"})
        for _ in range(60):
            await mrs.call("CancelSql", {**scenarios.AT, "sql_id": started.id})
        with pytest.raises(errors.MrsThrottled) as caught:
            await mrs.call("CancelSql", {**scenarios.AT, "sql_id": started.id})
    assert caught.value.retry_after_s > 0
