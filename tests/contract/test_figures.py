"""The numbers of an overview are the same from SQLite and from PostgreSQL."""

from __future__ import annotations

from tests.contract import read_models
from tests.support import clocks, web_role

from mrs_relay.read_model import database, figures, queries


async def test_an_overview_counts_what_is_under_way_and_what_ended_within_the_hour(opened: database.Database) -> None:
    """What ended earlier is left out, and what waits longest comes first."""
    hour_ms = figures.HOUR_MS
    writes = await read_models.writer(opened)
    await writes.write(
        *web_role.story("old", start_ms=web_role.NOW_MS - 2 * hour_ms),
        *web_role.story("new", start_ms=web_role.NOW_MS - hour_ms // 2),
        web_role.event("w-1", 1, "accepted", time_ms=web_role.NOW_MS - 5_000, cluster="c-1"),
        web_role.event("w-2", 1, "accepted", time_ms=web_role.NOW_MS - 9_000, cluster="c-1"),
        web_role.event("w-3", 1, "accepted", time_ms=web_role.NOW_MS - 7_000),
        web_role.event("u-1", 5, "unknown", time_ms=web_role.NOW_MS - 1_000),
    )

    found = await figures.Figures(opened, clocks.HandClock(web_role.NOW_MS)).overview()

    under_way = {(one.state, one.cluster): (one.count, one.started_ms - web_role.NOW_MS) for one in found.under_way}
    assert under_way == {("accepted", "c-1"): (2, -9_000), ("accepted", None): (1, -7_000)}
    ended = {(one.state, one.count) for one in found.ended}
    assert ended == {("succeeded", 1), ("unknown", 1)}
    assert [row["id"] for row in found.oldest] == ["w-2", "w-3", "w-1"]
    assert (found.unknown, found.letters, found.new_letters) == (1, 0, 0)


async def test_all_requests_of_a_filter_are_counted_by_state(opened: database.Database) -> None:
    """Each kind of filter counts what its pages show, however many there are."""
    writes = await read_models.writer(opened)
    await writes.write(
        *web_role.story("r-1", cluster="c-1", labels={"team": "a"}),
        web_role.event("r-2", 1, "accepted", cluster="c-1", labels={"team": "a"}),
        web_role.event("r-3", 1, "accepted", cluster="c-2"),
    )
    assert await queries.count(opened, queries.Filter()) == {"succeeded": 1, "accepted": 2}
    assert await queries.count(opened, queries.Filter(cluster="c-1")) == {"succeeded": 1, "accepted": 1}
    assert await queries.count(opened, queries.Filter(label="team=a", text="R-2")) == {"accepted": 1}


async def test_requests_are_found_again_by_their_keys(opened: database.Database) -> None:
    """They come in the order of the keys, without those that are gone."""
    writes = await read_models.writer(opened)
    await writes.write(web_role.event("r-1", 1, "accepted"), web_role.event("r-2", 1, "accepted"))
    keys = [(await read_models.shown(opened, name))["key"] for name in ("r-2", "r-1")]
    assert [row["id"] for row in await queries.of_keys(opened, [*keys, b"gone"])] == ["r-2", "r-1"]
