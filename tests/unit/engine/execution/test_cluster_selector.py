"""Chooses by name and tags among what runs, the one with most room, and reads no more than it must."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.engine import samples

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.execution import cluster_selector
from mrs_relay.engine.model import facts, jobs
from mrs_relay.mrs.models import clusters as models

pytestmark = pytest.mark.looptime


class _Mrs:
    """
    A project: clusters by id, and how many jobs continue on each.

    Attributes:
        clusters: name, state and tags by id.
        busy: jobs that continue, by cluster.
        read: how often the list and each cluster was asked for.
        trouble: raised instead of an answer.
    """

    def __init__(self, **clusters: tuple[str, str, Any]) -> None:
        self.clusters = clusters
        self.busy: Mapping[str, int] = {}
        self.read: Counter[str] = Counter()
        self.trouble: errors.MrsError | None = None

    async def iterate(self, _listing: object) -> AsyncIterator[models.Cluster]:
        self.read["list"] += 1
        await asyncio.sleep(0.1)
        if self.trouble is not None:
            raise self.trouble
        for one, (name, state, tags) in self.clusters.items():
            output = {"clusterId": one, "clusterName": name, "clusterState": state, "tags": tags}
            yield models.Cluster.model_validate(output)

    async def call(self, _operation: object, *, path: Mapping[str, str], **_: object) -> Any:
        cluster = path["cluster_id"]
        self.read[cluster] += 1
        await asyncio.sleep(0.1)
        if cluster not in self.busy:
            raise errors.MrsRefused("no such right")
        return SimpleNamespace(total_record=self.busy[cluster])


def _chooser(
    mrs: _Mrs, ours: Mapping[str, tuple[int, int]] | None = None, **settings: Any
) -> tuple[cluster_selector.ClusterSelector, clock.LoopClock]:
    now = clock.LoopClock()
    known = ours or {}
    made = engine_settings.EngineSettings(**settings)
    return cluster_selector.ClusterSelector(cast("Any", mrs), lambda one: known.get(one, (0, 0)), made, now), now


def _job(number: int, now: clock.LoopClock) -> jobs.Job:
    return samples.request(id=f"r-{number}", state=jobs.State.CHOOSING, cluster="", arrived_ms=now.now_ms())


async def _choose(mrs: _Mrs, choice: jobs.Choice, count: int = 1, **settings: Any) -> list[Any]:
    selector, now = _chooser(mrs, **settings)
    return list(await asyncio.gather(*(selector.select(_job(number, now), choice) for number in range(count))))


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        (jobs.Choice("etl"), "a"),
        (jobs.Choice(tags={"team": "ads"}), "b"),
        (jobs.Choice("night", {"team": "ads", "size": "big"}), "b"),
        (jobs.Choice(tags={"size": ""}), "c"),
    ],
)
async def test_a_cluster_fits_that_has_the_name_and_every_tag(choice: jobs.Choice, chosen: str) -> None:
    """Names are compared whole, tags with their values; MRS tells tags as a text or as lists of two kinds."""
    mrs = _Mrs(
        a=("etl", "running", None),
        b=("night", "running", "team=ads,size=big"),
        c=("night", "running", [{"key": "size", "value": None}]),
        d=("etl-2", "running", ["team=web"]),
    )
    assert await _choose(mrs, choice) == [facts.ClusterSelected(chosen)]


@pytest.mark.parametrize(
    ("name", "wanted", "found"),
    [
        ("etl-mr0123456789abcd", "etl", True),
        ("etl-mr0123456789abcd", "etl-mr0123456789abcd", True),
        ("etl-mr0123456789abcd", "et", False),
        (f"{'e' * 47}-mr0123456789abcd", "e" * 60, True),
        ("e" * 47, "e" * 60, False),
        ("etl-mr0123456789abcdef", "etl", False),
    ],
)
def test_a_cluster_that_was_ordered_here_goes_by_its_ordered_name_too(name: str, wanted: str, *, found: bool) -> None:
    """`mrs.cluster.create` puts a token behind the name and may cut it; who ordered `etl` asks for `etl`."""
    assert (
        cluster_selector.fits(jobs.Choice(wanted), cluster_selector.KnownCluster("c-1", name, "running", {})) is found
    )


@pytest.mark.parametrize("state", ["running", "scaling-out", "scaling-in"])
async def test_a_cluster_that_is_scaled_takes_jobs(state: str) -> None:
    """MRS takes jobs while nodes are added or removed."""
    assert await _choose(_Mrs(a=("etl", state, "")), jobs.Choice("etl")) == [facts.ClusterSelected("a")]


@pytest.mark.parametrize("state", ["terminating", "terminated", "failed"])
async def test_a_deleted_cluster_fits_no_request(state: str) -> None:
    """A request that only clusters fit which are gone is rejected at once, with the name that was asked for."""
    [fact] = await _choose(_Mrs(a=("etl", state, "team=ads"), b=("x", "running", "")), jobs.Choice("etl"))
    assert (fact.reason.kind, fact.reason.code, fact.reason.retryable) == ("invalid", "no_cluster", True)
    assert "the name etl" in fact.reason.message


async def test_a_cluster_that_comes_up_is_waited_for() -> None:
    """While a cluster fits that does not run yet, the request waits, and goes there once it does."""
    mrs = _Mrs(a=("etl", "starting", ""))
    selector, now = _chooser(mrs)
    choosing_task = asyncio.create_task(selector.select(_job(1, now), jobs.Choice("etl")))
    await asyncio.sleep(600)
    assert not choosing_task.done()
    mrs.clusters = {"a": ("etl", "running", "")}
    assert await choosing_task == facts.ClusterSelected("a")


async def test_waiting_for_a_cluster_ends_after_choose_within_s() -> None:
    """A cluster that never runs does not keep its requests for ever; the rejection names it."""
    [fact] = await _choose(_Mrs(a=("etl", "frozen", "")), jobs.Choice("etl"), choose_within_s=60)
    assert fact.reason.code == "no_cluster"
    assert "etl is frozen" in fact.reason.message


async def test_a_cluster_made_since_the_last_reading_is_found() -> None:
    """Before a request is rejected the list is read again: the cluster may have come up a moment ago."""
    mrs = _Mrs(a=("etl", "running", ""))
    selector, now = _chooser(mrs)
    await selector.select(_job(1, now), jobs.Choice("etl"))
    mrs.clusters = {"b": ("new", "running", "")}
    await asyncio.sleep(2)
    assert await selector.select(_job(2, now), jobs.Choice("new")) == facts.ClusterSelected("b")


async def test_requests_are_spread_by_what_is_free() -> None:
    """MRS's count, of other people's jobs too, decides; what was just chosen counts on top."""
    mrs = _Mrs(a=("etl", "running", ""), b=("etl", "running", ""), c=("etl", "running", ""))
    mrs.busy = {"a": 8, "b": 2, "c": 2}
    chosen = Counter(fact.cluster for fact in await _choose(mrs, jobs.Choice("etl"), count=12))
    assert chosen == {"b": 6, "c": 6}


async def test_our_own_jobs_that_wait_count_too() -> None:
    """A queue of ours is not on MRS yet, but it counts for the next request."""
    mrs = _Mrs(a=("etl", "running", ""), b=("etl", "running", ""))
    mrs.busy = {"a": 3, "b": 5}
    selector, now = _chooser(mrs, {"a": (3, 40), "b": (5, 0)})
    assert await selector.select(_job(1, now), jobs.Choice("etl")) == facts.ClusterSelected("b")


async def test_ten_thousand_requests_cost_one_reading() -> None:
    """The list and the counts are good for a while, for all who ask meanwhile."""
    mrs = _Mrs(a=("etl", "running", ""), b=("etl", "running", ""))
    mrs.busy = {"a": 0, "b": 0}
    assert len(await _choose(mrs, jobs.Choice("etl"), count=10_000)) == 10_000
    assert mrs.read == {"list": 1, "a": 1, "b": 1}


async def test_of_many_candidates_a_few_are_asked() -> None:
    """A tag that hundreds of clusters have costs five counts, not hundreds."""
    mrs = _Mrs(**{f"c{number}": ("etl", "running", "") for number in range(300)})
    mrs.busy = dict.fromkeys(mrs.clusters, 0)
    await _choose(mrs, jobs.Choice("etl"))
    assert (mrs.read.pop("list"), len(mrs.read)) == (1, 5)


async def test_a_cluster_that_was_busy_once_is_asked_again() -> None:
    """Of many candidates, one that has become free is found though five others have little to do."""
    mrs = _Mrs(**{f"c{number}": ("etl", "running", "") for number in range(6)})
    mrs.busy = {**dict.fromkeys(mrs.clusters, 3), "c0": 9}
    selector, now = _chooser(mrs)
    for number in range(10):
        await selector.select(_job(number, now), jobs.Choice("etl"))
    mrs.busy = {**dict.fromkeys(mrs.clusters, 3), "c0": 0}
    await asyncio.sleep(60)
    chosen = [await selector.select(_job(number, now), jobs.Choice("etl")) for number in range(10, 15)]
    assert facts.ClusterSelected("c0") in chosen[-3:]


async def test_a_cluster_named_often_by_a_name_of_its_own_stays_a_candidate() -> None:
    """What was chosen long ago is no load: its jobs are counted where they are."""
    mrs = _Mrs(
        a=("only", "running", "team=ads"), **{f"c{number}": ("etl", "running", "team=ads") for number in range(5)}
    )
    mrs.busy = {**dict.fromkeys(mrs.clusters, 5), "a": 0}
    selector, now = _chooser(mrs)
    for number in range(100):
        await selector.select(_job(number, now), jobs.Choice("only"))
    await asyncio.sleep(60)
    chosen = [await selector.select(_job(number, now), jobs.Choice(tags={"team": "ads"})) for number in range(100, 103)]
    assert facts.ClusterSelected("a") in chosen


async def test_a_list_that_cannot_be_read_is_asked_for_once_for_all() -> None:
    """However many requests wait, an outage sees one try in `clusters_fresh_s`."""
    mrs = _Mrs(a=("etl", "running", ""))
    mrs.trouble = errors.MrsUntouched("no route")
    selector, now = _chooser(mrs, clusters_fresh_s=10)
    tasks = [asyncio.create_task(selector.select(_job(number, now), jobs.Choice("etl"))) for number in range(500)]
    await asyncio.sleep(95)
    assert mrs.read["list"] <= 11
    mrs.trouble = None
    assert set(await asyncio.gather(*tasks)) == {facts.ClusterSelected("a")}


async def test_requests_without_a_cluster_read_the_list_once_a_second_at_most() -> None:
    """A flood of requests that nothing fits does not use up the read budget."""
    mrs = _Mrs(a=("etl", "running", ""))
    selector, now = _chooser(mrs)
    for number in range(100):
        await selector.select(_job(number, now), jobs.Choice("other"))
        await asyncio.sleep(0.1)
    assert mrs.read["list"] <= 12


async def test_a_cluster_that_cannot_be_counted_is_still_used() -> None:
    """Where MRS does not tell how busy a cluster is, what we know ourselves decides."""
    mrs = _Mrs(a=("etl", "running", ""), b=("etl", "running", ""))
    selector, now = _chooser(mrs, {"a": (2, 0), "b": (1, 0)})
    assert await selector.select(_job(1, now), jobs.Choice("etl")) == facts.ClusterSelected("b")


async def test_an_outage_of_mrs_is_waited_out() -> None:
    """A list that cannot be read proves nothing about clusters, however long that lasts."""
    mrs = _Mrs(a=("etl", "running", ""))
    mrs.trouble = errors.MrsUntouched("no route")
    selector, now = _chooser(mrs, choose_within_s=60)
    task = asyncio.create_task(selector.select(_job(1, now), jobs.Choice("etl")))
    await asyncio.sleep(7200)
    assert not task.done()
    mrs.trouble = None
    assert await task == facts.ClusterSelected("a")


async def test_a_refusal_to_list_clusters_ends_in_a_rejection_that_says_so() -> None:
    """Without the right to list clusters none can be selected; after choose_within_s the rejection has MRS's code."""
    mrs = _Mrs()
    mrs.trouble = errors.MrsRefused("not allowed to list clusters", code="12000041")
    [fact] = await _choose(mrs, jobs.Choice("etl"), choose_within_s=60)
    assert (fact.reason.kind, fact.reason.code) == ("refused", "12000041")
    assert "not allowed to list clusters" in fact.reason.message


class _Hanging(_Mrs):
    """Does not say within half a minute how busy its clusters are, but for those whose id begins with `w`."""

    async def call(self, _operation: object, *, path: Mapping[str, str], **kept: object) -> Any:
        if not path["cluster_id"].startswith("w"):
            self.read[path["cluster_id"]] += 1
            await asyncio.sleep(30)
            raise errors.MrsUntouched("no reply within 30 s")
        return await super().call(_operation, path=path, **kept)


async def test_clusters_that_hang_hold_up_no_choice_among_others() -> None:
    """Requests for clusters that do not answer keep no other request from its own cluster, nor each other."""
    dead, well = ("dead", "running", "team=dead"), ("well", "running", "team=well")
    mrs = _Hanging(d1=dead, d2=dead, d3=dead, w1=well, w2=well)
    mrs.busy = {"w1": 2, "w2": 0}
    selector, now = _chooser(mrs)
    begun_s = now.monotonic_s()

    async with asyncio.TaskGroup() as group:
        held = [group.create_task(selector.select(_job(number, now), jobs.Choice("dead"))) for number in range(20)]
        await asyncio.sleep(1)
        for wanted, chosen in ((jobs.Choice("well"), {"w2"}), (jobs.Choice(id="d1"), {"d1"})):
            fact = await selector.select(_job(99, now), wanted)
            assert isinstance(fact, facts.ClusterSelected)
            assert fact.cluster in chosen
        assert now.monotonic_s() - begun_s < 2
        await asyncio.wait(held)
        assert now.monotonic_s() - begun_s < 32

    assert (mrs.read["d1"], mrs.read["d2"], mrs.read["d3"]) == (1, 1, 1)
