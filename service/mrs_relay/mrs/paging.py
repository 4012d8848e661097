"""
Read whole lists, page by page, without a missed or repeated item even when the list shifts while it is read.

"Missed" counts items that are in the list from the first page to the last. `operations/lists` has a value for each
list; `client.Client.iterate` reads one. There are four ways, because MRS has four kinds of pages:

- by time: jobs, oldest first. Each page starts at the submission time of the last job seen, so that neither a new job
  nor a deleted one moves the pages still to read.
- by number: pages counted from 1, and no order is documented. If there is more than one page, the list is read until
  two passes in a row show the same.
- by offset: the same, with records skipped in place of pages.
- by marker: a page starts after the object that the last one ended with; if that object is gone, after the one before.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from mrs_relay import errors
from mrs_relay.mrs import operation
from mrs_relay.mrs.models import base, jobs

R = TypeVar("R", bound=base.Reply)
T = TypeVar("T")

MOST_PASSES: Final = 10
"""Most passes over a list that keeps shifting; the items seen until then are the result."""

Fetch = Callable[[Mapping[str, Any]], Awaitable[R]]
"""Reads one page; the mapping holds the fields that choose it."""


@dataclass(frozen=True, slots=True, eq=False)
class Listing(Generic[R, T]):
    """
    One list of MRS.

    Attributes:
        operation: reads one page.
        items: the items of a page.
        key: the id of an item.
        way: reads all pages.
        fields: names of the query's (or body's) fields that choose a page; they are not the caller's.
        size: items to ask for at a time.
    """

    operation: operation.Operation[Any, R]
    items: Callable[[R], Sequence[T]]
    key: Callable[[T], str]
    way: Callable[[Listing[R, T], Fetch[R], int], AsyncIterator[T]]
    fields: tuple[str, ...]
    size: int

    async def all(self, fetch: Fetch[R], size: int) -> AsyncIterator[T]:
        """Yield every item once, in the order of its first appearance."""
        seen: set[str] = set()
        async for item in self.way(self, fetch, size):
            if (key := self.key(item)) not in seen:
                seen.add(key)
                yield item


async def by_time(
    listing: Listing[jobs.JobListReply, jobs.JobDetail], fetch: Fetch[jobs.JobListReply], size: int
) -> AsyncIterator[jobs.JobDetail]:
    """
    Yield jobs, oldest first; `fields` are limit, page number, order and the time to start from.

    Source: ShowJobExeListNew; whether the start of submitted_time_begin is included is not documented, so each page
    starts a millisecond early.
    """
    limit, number, order, begin = listing.fields
    from_ms: int | None = None
    while True:
        start: dict[str, Any] = {limit: size, order: "asc"} | ({} if from_ms is None else {begin: from_ms})
        found = listing.items(await fetch({**start, number: 1}))
        for job in found:
            yield job
        if len(found) < size:
            return

        last_ms = found[-1].submitted_ms
        next_ms = from_ms if last_ms is None else max(last_ms - 1, 0)
        if next_ms == from_ms:
            break
        from_ms = next_ms

    # More jobs of one moment than fit a page, or no times at all: count pages.
    async for job in _until_stable(listing, fetch, size, lambda page: {**start, number: page + 1}):
        yield job


async def by_number(listing: Listing[R, T], fetch: Fetch[R], size: int) -> AsyncIterator[T]:
    """Yield the items of pages counted from 1; `fields` are the size and the page number."""
    limit, number = listing.fields
    async for item in _until_stable(listing, fetch, size, lambda page: {limit: size, number: page + 1}):
        yield item


async def by_offset(listing: Listing[R, T], fetch: Fetch[R], size: int) -> AsyncIterator[T]:
    """Skip records; `fields` are the size and how many to skip."""
    limit, skip = listing.fields
    async for item in _until_stable(listing, fetch, size, lambda page: {limit: size, skip: page * size}):
        yield item


async def _until_stable(
    listing: Listing[R, T], fetch: Fetch[R], size: int, choose: Callable[[int], Mapping[str, Any]]
) -> AsyncIterator[T]:
    before: list[str] | None = None
    for _ in range(MOST_PASSES):
        keys: list[str] = []
        page = 0
        while True:
            found = listing.items(await fetch(choose(page)))
            for item in found:
                yield item
            keys += map(listing.key, found)
            page += 1
            if len(found) < size:
                break

        # One page cannot shift; two equal passes show that the list did not.
        if page == 1 or keys == before:
            return
        before = keys


async def by_marker(listing: Listing[R, T], fetch: Fetch[R], size: int) -> AsyncIterator[T]:
    """
    Yield the items of pages after a marker; `fields` are the size and the marker.

    Source: V1.1 lists: `markers.next` is null after a full last page, so the last item is the marker instead.
    """
    limit, marker = listing.fields
    trail: list[str] = []
    while True:
        start = {marker: trail[-1]} if trail else {}
        try:
            found = listing.items(await fetch({limit: size, **start}))
        except errors.MrsRefused:
            if not trail:
                raise
            trail.pop()  # the marker's object is gone: start after the one before
            continue

        for item in found:
            yield item
        if len(found) < size:
            return
        trail += map(listing.key, found)


def read(
    listing: Listing[R, T],
    call: Callable[..., Awaitable[R]],
    path: Mapping[str, str],
    query: base.Asked | Mapping[str, Any] | None,
    size: int | None,
) -> AsyncIterator[T]:
    """
    Read all items of a list, through a client's `call`.

    Raises:
        MrsRefused: the query chooses pages itself, or asks for no whole number of items; nothing was sent.
    """
    given = query.model_dump(exclude_none=True) if isinstance(query, base.Asked) else dict(query or {})
    wanted = listing.operation
    ours = [name for name in listing.fields if given.get(name) is not None]
    if ours:
        raise errors.MrsRefused(f"{wanted.name} was not sent: {', '.join(ours)}: chosen page by page, leave it out")
    part = "query" if wanted.query is not None else "body"
    fetch = functools.partial(_fetch, call, wanted, path, given, part)
    return listing.all(fetch, size or listing.size)


async def _fetch(
    call: Callable[..., Awaitable[R]],
    wanted: operation.AnyOperation,
    path: Mapping[str, str],
    given: Mapping[str, Any],
    part: str,
    page: Mapping[str, Any],
) -> R:
    return await call(wanted, path=path, **{part: {**given, **page}})
