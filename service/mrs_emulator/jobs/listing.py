"""
The job list: filters, direction, page numbers, and the jobs that are not listed yet.

The narrowest index gives the candidates, the other filters are checked on each. Filters are combined with AND, times
include their boundary, job_name compares whole names: natural readings of what the documents leave open.

Source: API reference, ShowJobExeListNew; offset as a page number from production clients.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from mrs_emulator.core import checks, refusals, settings
from mrs_emulator.jobs import job_index, life

_JOB_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_JOB_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_USER = re.compile(r"[A-Za-z._-][A-Za-z0-9._-]{0,31}")
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STATES = frozenset({"NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING", "FINISHED", "FAILED", "KILLED"})
_RESULTS = frozenset({"FAILED", "KILLED", "UNDEFINED", "SUCCEEDED"})
_DIRECTIONS = frozenset({"asc", "desc"})


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list query asks for; None means any."""

    job_name: str | None
    job_id: str | None
    user: str | None
    job_type: str | None
    job_state: str | None
    job_result: str | None
    queue: str | None
    begin_ms: int | None
    end_ms: int | None

    @property
    def by_stage(self) -> bool:
        """Whether the moment counts."""
        return self.job_state is not None or self.job_result is not None

    @property
    def by_record(self) -> bool:
        """Whether what the client sent counts."""
        return any(one is not None for one in (self.job_name, self.job_id, self.user, self.job_type, self.queue))

    def stage_matches(self, state: str, result: str) -> bool:
        """Return whether a job in this state with this result matches."""
        return self.job_state in {None, state} and self.job_result in {None, result}


@dataclass(frozen=True, slots=True)
class Query:
    """A list query, checked: filters, direction, and the slice of matches that makes the page."""

    filters: Filters
    newest_first: bool
    start: int
    count: int


def read(query: Mapping[str, str], quirks: settings.Quirks) -> Query:
    """
    Return a list query from its parameters, all of them texts.

    Raises:
        Refusal: 12000002, names the parameter.
    """
    limit = checks.whole_number(query, "limit", least=1) or quirks.list_limit_default
    if limit > quirks.list_limit_max:
        raise refusals.invalid(f"limit must not exceed {quirks.list_limit_max}")

    offset = max(checks.whole_number(query, "offset", least=0) or 1, 1)
    filters = Filters(
        job_name=checks.matching(query, "job_name", _JOB_NAME),
        job_id=checks.matching(query, "job_id", _JOB_ID),
        user=checks.matching(query, "user", _USER),
        job_type=checks.one_of(query, "job_type", frozenset(settings.JOB_TYPES)),
        job_state=checks.one_of(query, "job_state", _STATES),
        job_result=checks.one_of(query, "job_result", _RESULTS),
        queue=checks.matching(query, "queue", _QUEUE),
        begin_ms=checks.whole_number(query, "submitted_time_begin", least=0),
        end_ms=checks.whole_number(query, "submitted_time_end", least=0),
    )

    start = (offset - 1) * limit if quirks.offset_is_page else offset - 1
    return Query(filters, checks.one_of(query, "sort_by", _DIRECTIONS) != "asc", start, limit)


def page(records: job_index.JobIndex, query: Query, now_ms: int, quirks: settings.Quirks) -> tuple[int, list[life.Job]]:
    """
    Return how many jobs match, and those on the page asked for.

    Only filters on what the client sent look at single jobs; times and states are found by index.
    """
    filters = query.filters
    listed_until_ms = now_ms - round(quirks.late_listing_s * 1000)
    end_ms = listed_until_ms if filters.end_ms is None else min(listed_until_ms, filters.end_ms)
    span = records.span(filters.begin_ms, end_ms)
    if filters.by_record:
        return _page_by_record(records, query, now_ms, quirks, span)
    if not filters.by_stage:
        total = records.count(span)
        numbers = records.arrived(span, newest_first=query.newest_first, skip=query.start)
        return total, [records.at(number) for number in islice(numbers, query.count)]
    found = records.staged(filters.stage_matches, now_ms, span)
    total = len(found)
    places = range(query.start, min(query.start + query.count, total))
    return total, [records.at(found[total - 1 - place if query.newest_first else place]) for place in places]


def _page_by_record(
    records: job_index.JobIndex, query: Query, now_ms: int, quirks: settings.Quirks, span: tuple[int, int]
) -> tuple[int, list[life.Job]]:
    candidates = _candidates(records, query, now_ms, quirks, span)
    if not query.newest_first:
        candidates.reverse()
    matches = [job for job in candidates if span[0] <= job.number < span[1] and _matches(job, query, now_ms, quirks)]
    return len(matches), matches[query.start : query.start + query.count]


def _candidates(
    records: job_index.JobIndex, query: Query, now_ms: int, quirks: settings.Quirks, span: tuple[int, int]
) -> list[life.Job]:
    """Return the jobs among which all matches are, newest first."""
    filters = query.filters
    if filters.job_id is not None:
        job = records.get(filters.job_id)
        return [] if job is None else [job]
    if filters.job_name is not None and not quirks.job_name_contains:
        return records.named(filters.job_name)[::-1]
    if filters.by_stage:
        return [records.at(number) for number in reversed(records.staged(filters.stage_matches, now_ms, span))]
    return [records.at(number) for number in records.arrived(span, newest_first=True)]


def _matches(job: life.Job, query: Query, now_ms: int, quirks: settings.Quirks) -> bool:
    filters = query.filters
    if not _matches_record(job, filters, quirks):
        return False
    return not filters.by_stage or filters.stage_matches(life.state_of(job, now_ms), life.result_of(job, now_ms))


def _matches_record(job: life.Job, filters: Filters, quirks: settings.Quirks) -> bool:
    wanted_name = filters.job_name
    if wanted_name is not None and not (
        wanted_name in job.name if quirks.job_name_contains else wanted_name == job.name
    ):
        return False
    return (
        filters.job_id in {None, job.job_id}
        and filters.user in {None, job.user}
        and filters.job_type in {None, job.job_type}
        and filters.queue in {None, job.queue}
    )
