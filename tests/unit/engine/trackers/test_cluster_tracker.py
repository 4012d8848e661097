"""How far a cluster is from what was ordered: the states of MRS's clusters, judged."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tests.unit.engine import mrs_fakes, samples, scheduling_fakes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs, verdict
from mrs_relay.engine.trackers import cluster_tracker
from mrs_relay.engine.work import cluster as cluster_work
from mrs_relay.mrs.models import clusters as models

_V = verdict.Verdict


def _shown(state: str, nodes: int | None = 6, scale: str | None = None) -> models.Cluster | None:
    if state == "gone":
        return None
    return models.Cluster(cluster_id="c-1", cluster_state=state, total_node_num=nodes, scale=scale)


@pytest.mark.parametrize(
    ("state", "known"),
    [
        ("starting", _V.RUNNING),
        ("running", _V.SUCCEEDED),
        ("abnormal", _V.FAILED),
        ("failed", _V.FAILED),
        ("terminating", _V.FAILED),
        ("terminated", _V.FAILED),
        ("gone", _V.FAILED),
        ("frozen", _V.RUNNING),
        ("a state of the future", _V.RUNNING),
    ],
)
def test_a_created_cluster_must_run(state: str, known: _V) -> None:
    """Only `running` is success; a state that is not documented is waited out."""
    target = jobs.TargetState("created")
    assert cluster_tracker.judge(target, _shown(state), changing=False, overdue=True) is known


@pytest.mark.parametrize(
    ("state", "overdue", "known"),
    [
        ("running", False, _V.WAITING),
        ("running", True, _V.UNSETTLED),
        ("terminating", True, _V.RUNNING),
        ("terminated", False, _V.SUCCEEDED),
        ("gone", False, _V.SUCCEEDED),
    ],
)
def test_a_deleted_cluster_must_be_gone(state: str, overdue: bool, known: _V) -> None:
    """Terminated or unknown to MRS is success; one that stays is given up as unclear after a while."""
    target = jobs.TargetState("deleted")
    assert cluster_tracker.judge(target, _shown(state), changing=False, overdue=overdue) is known


@pytest.mark.parametrize(
    ("state", "nodes", "scale", "changing", "overdue", "known"),
    [
        ("running", 6, None, False, False, _V.WAITING),
        ("scaling-out", 6, "scaling-out", True, False, _V.RUNNING),
        ("running", 8, None, True, False, _V.SUCCEEDED),
        ("running", 8, None, False, False, _V.SUCCEEDED),
        ("running", 6, None, True, False, _V.WAITING),
        ("running", 6, None, True, True, _V.UNSETTLED),
        ("running", 6, "scaling-error", True, False, _V.FAILED),
        ("running", 6, "scaling-error", False, False, _V.WAITING),
        ("running", 6, "scaling-error", False, True, _V.FAILED),
        ("failed", 6, None, False, False, _V.FAILED),
        ("gone", None, None, False, False, _V.FAILED),
    ],
)
def test_a_resized_cluster_must_have_its_nodes(
    state: str, nodes: int | None, scale: str | None, changing: bool, overdue: bool, known: _V
) -> None:
    """`running` tells nothing: the number of nodes does, and `scale` once the change was seen or should have been."""
    target = jobs.TargetState("resized", nodes=8)
    assert cluster_tracker.judge(target, _shown(state, nodes, scale), changing=changing, overdue=overdue) is known


def test_a_resize_to_a_number_that_is_not_known_ends_with_the_change() -> None:
    """MRS did not say how many nodes there were: the end of the change without an error counts."""
    target = jobs.TargetState("resized")
    assert cluster_tracker.judge(target, _shown("running", None), changing=False, overdue=False) is _V.WAITING
    assert cluster_tracker.judge(target, _shown("running", None), changing=True, overdue=False) is _V.SUCCEEDED


@pytest.mark.parametrize(
    ("state", "ends", "known"),
    [
        ("starting", [], _V.RUNNING),
        ("running", [_V.SUCCEEDED], _V.RUNNING),
        ("running", [_V.SUCCEEDED, _V.RUNNING], _V.RUNNING),
        ("running", [_V.SUCCEEDED, _V.SUCCEEDED], _V.SUCCEEDED),
        ("terminating", [_V.SUCCEEDED, _V.FAILED], _V.FAILED),
        ("terminated", [_V.SUCCEEDED, _V.SUCCEEDED], _V.SUCCEEDED),
        ("terminated", [_V.SUCCEEDED], _V.UNSETTLED),
        ("failed", [], _V.FAILED),
        ("gone", [], _V.UNSETTLED),
    ],
)
def test_a_cluster_with_jobs_is_judged_by_its_jobs(state: str, ends: list[_V], known: _V) -> None:
    """All must have ended, and all well; when the cluster went before that was seen, the outcome is unknown."""
    target = jobs.TargetState("flowed", jobs=2)
    assert cluster_tracker.judge(target, _shown(state), changing=False, overdue=False, ends=ends) is known


def test_a_cluster_of_an_earlier_order_with_the_same_id_is_not_taken_for_this_one() -> None:
    """An id may be used again once it is forgotten; the name with its token is the same then."""
    now_s = 30 * 86_400
    work = jobs.Call("CreateCluster", body={}, target=jobs.TargetState("created"))
    order = samples.request(work, name="night", cluster="", attempt=1, intent_ms=now_s * 1000)

    class Mrs:
        async def iterate(self, _listing: object, *, query: dict[str, str]) -> AsyncIterator[models.Cluster]:
            for one, created_s in (("old", now_s - 7 * 86_400), ("new", now_s + 1), ("timeless", None)):
                shown = {"clusterId": one, "clusterName": query["clusterName"], "clusterState": "running"}
                yield models.Cluster.model_validate({**shown, "createAt": created_s})

    async def live() -> None:
        found = await cluster_work.Calls(cast("Any", Mrs())).find_submitted(order)
        assert {seen.job_id for seen in found} == {"new", "timeless"}

    scheduling_fakes.run_virtually(live())


@pytest.mark.parametrize("comes", [True, False])
def test_a_new_cluster_that_mrs_does_not_show_yet_has_not_failed(comes: bool) -> None:
    """The order was taken: the cluster is waited for as long as an order may take to show."""

    class Mrs:
        async def call(self, _operation: object, **_: object) -> Any:
            now_s = asyncio.get_running_loop().time()
            if not comes or now_s < 60:
                raise errors.MrsRefused("no such cluster", status=400, code="12000003")
            return SimpleNamespace(cluster=_shown("starting" if now_s < 300 else "running"))

    async def live() -> None:
        owner, time = mrs_fakes.Owner(), clock.LoopClock()
        watcher = cluster_tracker.ClusterTracker(cast("Any", Mrs()), engine_settings.EngineSettings(), time)
        job = samples.JOBS["submitted, a cluster"]
        assert job is not None
        watcher.follow(msgspec.structs.replace(job, intent_ms=time.now_ms()), job.ledger_key, owner)
        await asyncio.sleep(1000)
        await watcher.close()
        assert [fact.outcome for fact in owner.facts if isinstance(fact, facts.ClusterObserved)] == (
            [_V.RUNNING, _V.SUCCEEDED] if comes else [_V.FAILED]
        )
        assert comes or owner.reports[0][0] > 900

    scheduling_fakes.run_virtually(live())


@pytest.mark.parametrize(
    ("state", "refusal", "known"),
    [
        ("starting", errors.MrsBusy("not running", status=400, code="12000012"), _V.RUNNING),
        ("failed", errors.MrsBusy("not running", status=400, code="12000012"), _V.FAILED),
        ("failed", errors.MrsUntouched("HTTP 500", status=500), _V.FAILED),
        ("terminated", errors.MrsRefused("no such cluster", status=400, code="12000003"), _V.UNSETTLED),
        ("terminated", errors.MrsBusy("not running", status=400, code="12000012"), _V.UNSETTLED),
        ("terminated", errors.MrsUntouched("HTTP 500", status=500), None),
        ("terminated", errors.MrsRefused("token expired", status=401, code="APIGW.0301"), None),
    ],
)
def test_a_cluster_whose_jobs_cannot_be_listed_is_judged_by_its_state(
    state: str, refusal: errors.MrsError | None, known: _V | None
) -> None:
    """A refusal because of the cluster's state lasts as long as the state; an outage of the list is no verdict."""

    class Mrs:
        async def call(self, _operation: object, **_: object) -> Any:
            return SimpleNamespace(cluster=_shown(state))

        async def iterate(self, _listing: object, **_: object) -> AsyncIterator[Any]:
            if refusal is not None:
                raise refusal
            yield

    async def live() -> None:
        owner, time = mrs_fakes.Owner(), clock.LoopClock()
        watcher = cluster_tracker.ClusterTracker(cast("Any", Mrs()), engine_settings.EngineSettings(), time)
        job = samples.JOBS["submitted, a cluster"]
        assert job is not None
        flow = msgspec.structs.replace(job, work=jobs.TargetState("flowed", jobs=2), intent_ms=time.now_ms())
        watcher.follow(flow, job.ledger_key, owner)
        await asyncio.sleep(1000)
        await watcher.close()
        outcomes = [fact.outcome for fact in owner.facts if isinstance(fact, facts.ClusterObserved)]
        assert outcomes == ([] if known is None else [known])

    scheduling_fakes.run_virtually(live())


def test_cluster_that_is_left_at_once_leaves_nothing_unawaited() -> None:
    """A relay that is killed at that moment would warn of a coroutine that was never awaited."""

    async def live() -> None:
        owner, time = mrs_fakes.Owner(), clock.LoopClock()
        watcher = cluster_tracker.ClusterTracker(cast("Any", None), engine_settings.EngineSettings(), time)
        job = samples.JOBS["submitted, a cluster"]
        assert job is not None
        watcher.follow(job, job.ledger_key, owner)
        watcher.unfollow(job)
        await watcher.close()
        assert owner.facts == []

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        scheduling_fakes.run_virtually(live())
        gc.collect()
    assert [str(one.message) for one in seen if "never awaited" in str(one.message)] == []
