"""Whole lists: every item once, while items come and go between the pages."""

from __future__ import annotations

import json
import random
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import clocks
from tests.unit.mrs import support

from mrs_relay import errors
from mrs_relay.mrs import client, transport
from mrs_relay.mrs.models import jobs
from mrs_relay.mrs.operations import lists


class Listed:
    """Answers pages of a list that a script changes before each page but the first."""

    def __init__(self, items: list[dict[str, Any]], page: Callable[..., Any], *changes: Callable[[Any], None]) -> None:
        self.items = items
        self.page = page
        self.changes = list(changes)
        self.queries: list[dict[str, str]] = []

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        """Send one page."""
        del timeout_s
        if self.queries and self.changes:
            self.changes.pop(0)(self.items)
        query = dict(urllib.parse.parse_qsl(request.target.partition("?")[2]))
        query |= {name: str(value) for name, value in json.loads(request.body or b"{}").items()}
        self.queries.append(query)
        return support.answer(200, self.page(self.items, query))


def _jobs_page(items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    begin = int(query.get("submitted_time_begin", "-1"))
    found = sorted((one for one in items if one["submitted_time"] > begin), key=lambda one: one["submitted_time"])
    size, number = int(query["limit"]), int(query["offset"])
    return {"total_record": len(found), "job_list": found[(number - 1) * size : number * size]}


def _clusters_page(items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    size, number = int(query["pageSize"]), int(query["currentPage"])
    return {"clusterTotal": len(items), "clusters": items[(number - 1) * size : number * size]}


def _sources_page(items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    start = 0
    if marker := query.get("marker"):
        ids = [one["id"] for one in items]
        if marker not in ids:
            return {"error_code": "12000002", "error_msg": "no such marker"}
        start = ids.index(marker) + 1
    return {"markers": {"prev": None, "next": None}, "data_sources": items[start : start + int(query["limit"])]}


def _job(number: int, at_ms: int | None = None) -> dict[str, Any]:
    at_ms = 1000 + number if at_ms is None else at_ms
    return {"job_id": f"j{number}", "job_state": "RUNNING", "submitted_time": at_ms}


def _client(door: Listed) -> client.Client:
    return client.Client(support.group(), door, clocks.HandClock())


async def _job_ids(door: Listed, size: int = 3) -> list[str]:
    found = _client(door).iterate(lists.JOBS, path=support.AT_CLUSTER, size=size)
    return [job.job_id async for job in found]


async def test_jobs_come_oldest_first_each_once() -> None:
    """Pages that overlap on purpose give every job once."""
    door = Listed([_job(number) for number in range(8)], _jobs_page)
    assert await _job_ids(door) == [f"j{number}" for number in range(8)]
    assert all(query["sort_by"] == "asc" for query in door.queries)
    assert all(query["offset"] == "1" for query in door.queries)


async def test_a_deleted_job_hides_no_other() -> None:
    """What is deleted in front would make an item of the next page slip onto the one already read."""
    door = Listed(
        [_job(number) for number in range(9)], _jobs_page, lambda items: items.pop(0), lambda items: items.pop(0)
    )
    assert await _job_ids(door) == [f"j{number}" for number in range(9)]


async def test_new_jobs_repeat_no_other() -> None:
    """What is submitted meanwhile comes last."""
    door = Listed([_job(number) for number in range(6)], _jobs_page, lambda items: items.insert(0, _job(6)))
    assert await _job_ids(door) == [f"j{number}" for number in range(7)]


async def test_more_jobs_of_one_moment_than_a_page_holds() -> None:
    """Where the time cannot tell jobs apart, pages are counted from 1."""
    door = Listed([_job(number, 5000) for number in range(7)] + [_job(7, 5001)], _jobs_page)
    assert sorted(await _job_ids(door)) == [f"j{number}" for number in range(8)]
    assert {query["offset"] for query in door.queries} > {"1"}


@given(count=st.integers(0, 30), size=st.integers(2, 6), seed=st.integers(0, 10_000))
async def test_no_job_is_missed_and_none_comes_twice(count: int, size: int, seed: int) -> None:
    """However the list changes between pages: all that stay are reported, and nothing is reported twice."""
    chance = random.Random(seed)  # noqa: S311 - an example
    items = [_job(number, 1000 + chance.randrange(20)) for number in range(count)]
    gone: set[str] = set()

    def change(listed: list[dict[str, Any]]) -> None:
        for _ in range(chance.randrange(3)):
            if listed and chance.random() < 0.6:
                gone.add(listed.pop(chance.randrange(len(listed)))["job_id"])
            else:
                listed.append(_job(1000 + chance.randrange(10**6), 1020 + chance.randrange(20)))

    at_first = {one["job_id"] for one in items}
    reported = await _job_ids(Listed(items, _jobs_page, *[change] * 8), size)
    assert len(reported) == len(set(reported))
    assert at_first - gone <= set(reported)


async def test_clusters_are_read_until_the_list_stands_still() -> None:
    """A cluster that slips between two pages is met in the second reading."""
    items = [{"clusterId": f"c{number}", "clusterState": "running"} for number in range(6)]
    door = Listed(items, _clusters_page, lambda listed: listed.pop(0))
    found = [one.cluster_id async for one in _client(door).iterate(lists.CLUSTERS, size=3)]
    assert sorted(found) == [f"c{number}" for number in range(6)]


async def test_one_page_is_read_once() -> None:
    """A list that fits a page needs no second look."""
    door = Listed([{"clusterId": "c1", "clusterState": "running"}], _clusters_page)
    assert [one.cluster_id async for one in _client(door).iterate(lists.CLUSTERS)] == ["c1"]
    assert len(door.queries) == 1


async def test_markers_continue_after_a_full_page_without_next() -> None:
    """`markers.next` is null after a full last page, so the last item leads on."""
    door = Listed([{"id": f"s{number}"} for number in range(6)], _sources_page)
    found = [one.id async for one in _client(door).iterate(lists.DATA_SOURCES, size=3)]
    assert found == [f"s{number}" for number in range(6)]


async def test_a_marker_that_was_deleted_is_replaced_by_the_one_before() -> None:
    """The object that a page ended with may be gone before the next page."""
    door = Listed([{"id": f"s{number}"} for number in range(6)], _sources_page, lambda listed: listed.pop(2))
    found = [one.id async for one in _client(door).iterate(lists.DATA_SOURCES, size=3)]
    assert found == [f"s{number}" for number in range(6)]


async def test_tagged_clusters_skip_records() -> None:
    """This list is asked for by a body, and its offset counts records."""

    def page(items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        skip, size = int(query["offset"]), int(query["limit"])
        return {"total_count": len(items), "resources": items[skip : skip + size]}

    door = Listed([{"resource_id": f"c{number}"} for number in range(5)], page)
    found = _client(door).iterate(lists.TAGGED_CLUSTERS, query={"action": "filter"}, size=2)
    assert [one.resource_id async for one in found] == [f"c{number}" for number in range(5)]


async def test_a_query_that_chooses_a_page_is_refused() -> None:
    """The page is not the caller's to choose here; he is reported at once."""
    door = Listed([], _jobs_page)
    with pytest.raises(errors.MrsRefused, match="offset: chosen page by page"):
        _client(door).iterate(lists.JOBS, path=support.AT_CLUSTER, query=jobs.JobQuery(offset=2))
    assert not door.queries


async def test_a_failing_page_ends_the_list_with_its_error() -> None:
    """A list that could not be read to its end never looks complete."""
    door = Listed([], lambda *_: {"error_code": "0166", "error_msg": "failed"})
    with pytest.raises(errors.MrsUntouched):
        await _job_ids(door)
