"""The job list: page numbers, directions, filters, and the indexes behind them against a plain scan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.emulator import http_client

from mrs_emulator.core import settings
from mrs_emulator.jobs import job_index, life, listing

QUIRKS = settings.Quirks()


async def filled(count: int, **changes: object) -> http_client.Client:
    """Return a desk with jobs job-0, job-1, … that arrived a second apart and have all ended but the last few."""
    client = http_client.create(clusters=[{"slots": 0}], **changes)
    for number in range(count):
        await client.submitted(f"job-{number}")
        client.clock.pass_s(1)
    return client


async def test_default_is_the_newest_ten() -> None:
    """Without parameters: ten jobs, newest first, and the total of all."""
    client = await filled(12)
    assert await client.listed() == (12, [f"job-{number}" for number in range(11, 1, -1)])


async def test_page_without_a_limit_is_as_long_as_the_settings_say() -> None:
    """Ten is a quirk; who tests against another default sets it."""
    client = await filled(4, quirks={"list_limit_default": 3})
    assert await client.listed() == (4, ["job-3", "job-2", "job-1"])


async def test_offset_is_a_page_number_from_one() -> None:
    """Page 2 of five follows page 1 of five; a page past the end is empty; 0 is taken as 1."""
    client = await filled(12)
    assert await client.listed(limit=5, offset=2) == (12, ["job-6", "job-5", "job-4", "job-3", "job-2"])
    assert await client.listed(limit=5, offset=3) == (12, ["job-1", "job-0"])
    assert await client.listed(limit=5, offset=4) == (12, [])
    assert await client.listed(limit=1, offset=0) == (12, ["job-11"])


async def test_offset_is_a_record_number_by_quirk() -> None:
    """The wording of the documents: offset 2 starts with the second record."""
    client = await filled(4, quirks={"offset_is_page": False})
    assert await client.listed(limit=2, offset=2) == (4, ["job-2", "job-1"])


async def test_ascending_order_starts_with_the_oldest() -> None:
    """sort_by says the direction, nothing more."""
    client = await filled(3)
    assert await client.listed(sort_by="asc") == (3, ["job-0", "job-1", "job-2"])


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": "ten"}, "limit"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"offset": -1}, "offset"),
        ({"sort_by": "up"}, "sort_by"),
        ({"job_state": "DONE"}, "job_state"),
        ({"job_result": "OK"}, "job_result"),
        ({"job_type": "Pig"}, "job_type"),
        ({"job_name": "a b"}, "job_name"),
        ({"user": "9lives"}, "user"),
        ({"submitted_time_begin": "today"}, "submitted_time_begin"),
    ],
)
async def test_wrong_parameter_is_12000002(query: dict[str, object], named: str) -> None:
    """Every parameter is checked and named."""
    client = http_client.create()
    url = "&".join(f"{name}={value}" for name, value in query.items()).replace(" ", "%20")
    reply = await client.ask("GET", f"{client.base}/job-executions?{url}")
    assert http_client.code(reply) == "12000002"
    assert named in reply.json()["error_msg"]


async def test_filters_select_and_the_total_counts_matches() -> None:
    """total_record is the number of matches, not of the page."""
    client = await filled(12)
    assert await client.listed(job_name="job-3") == (1, ["job-3"])
    assert await client.listed(job_name="job") == (0, [])
    assert (await client.listed(job_state="RUNNING", limit=1))[0] == 3
    assert (await client.listed(job_result="SUCCEEDED", limit=1))[0] == 9
    assert await client.listed(user="emulator", queue="default", limit=1) == (12, ["job-11"])
    assert await client.listed(user="somebody") == (0, [])


async def test_job_name_matches_parts_by_quirk() -> None:
    """Whether the service matches parts is unknown; the quirk plays that it does."""
    client = await filled(12, quirks={"job_name_contains": True})
    assert await client.listed(job_name="job-1", sort_by="asc") == (3, ["job-1", "job-10", "job-11"])


async def test_times_of_submission_include_their_boundaries() -> None:
    """Jobs from begin to end, both included."""
    client = await filled(5)
    begin, end = http_client.START_MS + 1_000, http_client.START_MS + 3_000
    assert await client.listed(submitted_time_begin=begin, submitted_time_end=end, sort_by="asc") == (
        3,
        ["job-1", "job-2", "job-3"],
    )


async def test_namesakes_are_all_listed() -> None:
    """Names are no keys: two jobs of one name are two jobs."""
    client = http_client.create()
    for _ in range(2):
        await client.submitted("same")
    assert await client.listed(job_name="same") == (2, ["same", "same"])


async def test_fresh_job_is_listed_late_but_read_at_once() -> None:
    """With late listing a job is missing from every list for its first seconds, and only from lists."""
    client = http_client.create(quirks={"late_listing_s": 60}, clusters=[{"slots": 0}], pace={"run_s": 5})
    await client.submitted("old")
    client.clock.pass_s(60)
    job_id = await client.submitted("fresh")
    assert (await client.job(job_id))["job_name"] == "fresh"
    for query in ({}, {"sort_by": "asc"}, {"job_name": "fresh"}, {"job_result": "UNDEFINED"}, {"job_id": job_id}):
        assert "fresh" not in (await client.listed(**query))[1]
    assert await client.listed() == (1, ["old"])
    client.clock.pass_s(60)
    assert await client.listed() == (2, ["fresh", "old"])


@st.composite
def books(draw: st.DrawFn) -> tuple[job_index.JobIndex, list[life.Job], int]:
    """Return a book with jobs of few names that end early, late or never, some deleted; and a moment to look at it."""
    records = job_index.JobIndex()
    jobs: list[life.Job] = []
    at_ms = 0

    for number in range(draw(st.integers(0, 25))):
        at_ms += draw(st.integers(0, 500))
        ends = draw(st.sampled_from([None, 0, 300, 3_000]))
        ending = (
            None
            if ends is None
            else life.Ending(at_ms + ends, "FINISHED", draw(st.sampled_from(["SUCCEEDED", "FAILED"])))
        )
        timetable = life.Timetable(at_ms, at_ms + 10, at_ms + 20, at_ms + 30)
        job = life.Job(
            f"id-{number}", number, draw(st.sampled_from("abc")), draw(st.sampled_from(["Flink", "DistCp"])),
            draw(st.sampled_from(["ann", "bob"])), "[]", "{}", timetable, ending,
        )  # fmt: skip
        records.add(job)
        jobs.append(job)

        if draw(st.integers(0, 4)) == 0:
            jobs[-1] = replace(job, ending=life.Ending(at_ms + 40, "KILLED", "KILLED"))
            records.replace(jobs[-1])

    for job in list(jobs):
        if draw(st.integers(0, 5)) == 0:
            records.remove(job.job_id)
            jobs.remove(job)

    return records, jobs, at_ms + draw(st.integers(0, 2_000))


@given(
    data=books(),
    query=st.fixed_dictionaries(
        {"limit": st.sampled_from(["3", "10"]), "offset": st.sampled_from(["1", "2"])},
        optional={
            "sort_by": st.sampled_from(["asc", "desc"]),
            "job_name": st.sampled_from("abc"),
            "job_id": st.sampled_from(["id-0", "id-3"]),
            "user": st.sampled_from(["ann", "bob"]),
            "job_type": st.sampled_from(["Flink", "DistCp"]),
            "job_state": st.sampled_from(["NEW", "RUNNING", "FINISHED", "KILLED"]),
            "job_result": st.sampled_from(["UNDEFINED", "SUCCEEDED", "FAILED"]),
            "submitted_time_begin": st.sampled_from(["0", "1000"]),
            "submitted_time_end": st.sampled_from(["900", "4000"]),
        },
    ),
    late_s=st.sampled_from([0, 1]),
)
def test_every_page_equals_a_plain_scan(
    data: tuple[job_index.JobIndex, list[life.Job], int], query: dict[str, str], late_s: int
) -> None:
    """The indexes are a matter of speed: any list query gives what looking at every job would give."""
    records, jobs, now_ms = data
    quirks = settings.Quirks(late_listing_s=late_s)
    asked = listing.read(query, quirks)
    total, page = listing.page(records, asked, now_ms, quirks)

    def matches(job: life.Job) -> bool:
        seen = life.stage(job, now_ms)
        shown = {
            "job_name": job.name, "job_id": job.job_id, "user": job.user, "job_type": job.job_type,
            "job_state": seen.state, "job_result": seen.result,
        }  # fmt: skip
        created = job.timetable.created_ms
        return (
            all(query.get(name) in {None, value} for name, value in shown.items())
            and int(query.get("submitted_time_begin", 0)) <= created <= int(query.get("submitted_time_end", 10**9))
            and created <= now_ms - late_s * 1000
        )

    found = [job for job in jobs if matches(job)]
    if query.get("sort_by") != "asc":
        found.reverse()
    start = (int(query["offset"]) - 1) * int(query["limit"])
    assert total == len(found)
    assert page == found[start : start + int(query["limit"])]


def test_deep_pages_of_a_hundred_thousand_jobs_need_no_scan() -> None:
    """Pages of all and of unfinished jobs look at the jobs before them by index only; far below a scan's cost."""
    records = job_index.JobIndex()
    for number in range(100_000):
        timetable = life.Timetable(number, number, number, number)
        ending = life.Ending(number + 10, "FINISHED", "SUCCEEDED") if number % 2 else None
        records.add(life.Job(f"id-{number}", number, f"n-{number}", "Flink", "u", "[]", "{}", timetable, ending))
    records.settle(200_000)
    looked_at = 0

    class Counting(dict[str, life.Job]):
        def __getitem__(self, key: str) -> life.Job:
            nonlocal looked_at
            looked_at += 1
            return super().__getitem__(key)

    records._jobs = Counting(records._jobs)
    asked = listing.read({"limit": "100", "offset": "400", "job_result": "UNDEFINED"}, QUIRKS)
    total, page = listing.page(records, asked, 200_000, QUIRKS)
    everything = listing.page(records, listing.read({"limit": "100", "offset": "1000"}, QUIRKS), 200_000, QUIRKS)
    assert (total, len(page), everything[0], len(everything[1])) == (50_000, 100, 100_000, 100)
    assert looked_at <= 400
