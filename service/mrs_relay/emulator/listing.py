"""
The job list: filters, direction, page numbers, and the jobs that are not listed yet.

The narrowest index gives the candidates, the other filters are checked on each. Filters are combined with AND, times
include their boundary, job_name compares whole names: natural readings of what the documents leave open.

Source: API reference, ShowJobExeListNew; offset as a page number from production clients.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile

from mrs_relay.emulator import checks, life, refusals, settings, state

_JOB_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_JOB_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_USER = re.compile(r"[A-Za-z._-][A-Za-z0-9._-]{0,31}")
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNFINISHED_STATES = frozenset({"NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING"})
_STATES = frozenset({"FAILED", "KILLED", "FINISHED"}) | _UNFINISHED_STATES
_RESULTS = frozenset({"FAILED", "KILLED", "UNDEFINED", "SUCCEEDED"})
_DIRECTIONS = frozenset({"asc", "desc"})
_DEFAULT_LIMIT = 10


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
    def none(self) -> bool:
        """Whether every job matches."""
        return not (self.by_stage or self.by_record or self.begin_ms is not None or self.end_ms is not None)

    @property
    def by_stage(self) -> bool:
        """Whether the moment counts."""
        return self.job_state is not None or self.job_result is not None

    @property
    def by_record(self) -> bool:
        """Whether what the client sent counts."""
        return any(one is not None for one in (self.job_name, self.job_id, self.user, self.job_type, self.queue))

    @property
    def unfinished(self) -> bool:
        """Whether only unfinished jobs can match."""
        return self.job_result == life.UNDEFINED or self.job_state in _UNFINISHED_STATES


@dataclass(frozen=True, slots=True)
class Query:
    """A list query, checked: filters, direction, and the slice of matches that makes the page."""

    filters: Filters
    newest_first: bool
    start: int
    count: int


def read(query: Mapping[str, str], quirks: settings.Quirks) -> Query:
    """
    A list query from its parameters, all of them texts.

    Raises:
        Refusal: 12000002, names the parameter.
    """
    limit = checks.whole_number(query, "limit", least=1) or _DEFAULT_LIMIT
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


def page(book: state.JobBook, query: Query, now_ms: int, quirks: settings.Quirks) -> tuple[int, list[life.Job]]:
    """
    How many jobs match, and those on the page asked for.

    A page without filters, or of unfinished jobs only, skips to its place without looking at other jobs.
    """
    listed_until_ms = now_ms - round(quirks.late_listing_s * 1000)
    filters = query.filters
    if filters.none or _only_unfinished(filters):
        total = len(book) if filters.none else book.unfinished(now_ms)
        return _page_by_position(book, query, now_ms, listed_until_ms, total)
    matches = [
        job
        for job in _candidates(book, query, now_ms, quirks)
        if job.timetable.created_ms <= listed_until_ms and _matches(job, filters, now_ms, quirks)
    ]
    return len(matches), matches[query.start : query.start + query.count]


def _page_by_position(
    book: state.JobBook, query: Query, now_ms: int, listed_until_ms: int, total: int
) -> tuple[int, list[life.Job]]:
    """A page of a sequence in which every job matches; the jobs not listed yet are its newest ones."""

    def sequence(*, newest_first: bool) -> Iterator[str]:
        if query.filters.none:
            return book.ids(newest_first=newest_first)
        return book.open_ids(now_ms, newest_first=newest_first)

    newest = book.jobs(sequence(newest_first=True))
    hidden = sum(1 for _ in takewhile(lambda job: job.timetable.created_ms > listed_until_ms, newest))
    listed = total - hidden
    stop = min(query.start + query.count, listed)
    start = min(query.start, stop)
    skipped = hidden if query.newest_first else 0
    ids = islice(sequence(newest_first=query.newest_first), start + skipped, stop + skipped)
    return listed, list(book.jobs(ids))


def _only_unfinished(filters: Filters) -> bool:
    """Whether the unfinished jobs match, all of them and no others."""
    others = filters.job_state is not None or filters.by_record
    return filters.unfinished and not others and filters.begin_ms is None and filters.end_ms is None


def _candidates(book: state.JobBook, query: Query, now_ms: int, quirks: settings.Quirks) -> Iterable[life.Job]:
    filters = query.filters
    newest_first = query.newest_first
    if filters.job_id is not None:
        job = book.get(filters.job_id)
        return [] if job is None else [job]
    if filters.job_name is not None and not quirks.job_name_contains:
        return book.jobs(book.named_ids(filters.job_name, newest_first=newest_first))
    if filters.unfinished:
        return book.jobs(book.open_ids(now_ms, newest_first=newest_first))
    if filters.begin_ms is not None:
        return book.since(filters.begin_ms, newest_first=newest_first)
    return book.jobs(book.ids(newest_first=newest_first))


def _matches(job: life.Job, filters: Filters, now_ms: int, quirks: settings.Quirks) -> bool:
    created_ms = job.timetable.created_ms
    if filters.begin_ms is not None and created_ms < filters.begin_ms:
        return False
    if filters.end_ms is not None and created_ms > filters.end_ms:
        return False
    if filters.by_record and not _matches_record(job, filters, quirks):
        return False
    if filters.job_result is not None and filters.job_result != life.result_of(job, now_ms):
        return False
    return filters.job_state is None or filters.job_state == life.state_of(job, now_ms)


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
