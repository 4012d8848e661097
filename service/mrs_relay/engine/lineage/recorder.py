"""
Collect the run events of one unit of work, and write them as records for its transaction.

SQL is parsed between the decisions and their commit: short SQL at once, with a turn of the event loop after each, and
longer SQL in a thread for a limited time. Whatever fails here leaves out datasets or an event, never the commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from mrs_relay.engine.lineage import datasets, run_events, runs, settings, statements
from mrs_relay.engine.model import decisions, jobs
from mrs_relay.kafka import records

_log = structlog.get_logger(__name__)

_THREADED_LENGTH: Final = 800
"""
Shortest SQL that is parsed in a thread, in characters. TPC-H's queries take 12 ms at most, and what is shorter than
this 30 ms; the event loop is not to be held up for 50 ms.
"""

_MOST_NESTED: Final = 16
"""Deepest nesting of brackets in SQL that is parsed at once: a hundred levels of `array<` take half a second."""

_THREAD_S: Final = 1.0
"""Longest that a commit waits for the parsing of one SQL text, in seconds; then its event has no tables."""

_USUAL_BYTES: Final = 2_048
"""Usual size of a run event without SQL and labels."""

Alarm = Callable[[Exception, str, jobs.LedgerKey], None]


class Target(NamedTuple):
    """
    Where a tenant's run events are written, and what they show.

    Attributes:
        topic: name of the topic.
        namespace: of its OpenLineage jobs.
        rules: what may be shown.
    """

    topic: str
    namespace: str
    rules: settings.LineageSettings


def ready(target: Target) -> Target:
    """Prepare the parser of SQL, which takes time once; say so if it is not installed. Return the same target."""
    if not statements.is_available():
        _log.warning("sql_not_parsed", reason="sqlglot is missing: pip install 'mrs-relay[lineage]'")
    statements.warm_up()
    return target


class Recorder:
    """
    Collect the run events of one unit of work.

    Args:
        target: where they are written.
        alarm: is called for an event that cannot be built or written.
    """

    def __init__(self, target: Target, alarm: Alarm) -> None:
        self._target = target
        self._alarm = alarm
        self._changes: list[runs.Change] = []

    def note(self, before: jobs.Job | None, decision: decisions.Decision) -> int:
        """Take a decision in; returns about how many bytes its run events take."""
        found = list(runs.changes(before, decision))
        self._changes += found
        return sum(map(self._rough_bytes, found))

    def _rough_bytes(self, change: runs.Change) -> int:
        labels = change.job.labels or {}
        size_bytes = _USUAL_BYTES + sum(len(name) + len(value) for name, value in labels.items())
        if change.type == "START" and self._target.rules.sql != "none":
            query = datasets.query_of(change.job.work)
            size_bytes += 0 if query is None else len(query.text)
        return size_bytes

    async def outgoing(self, limit_bytes: Callable[[str | None], int]) -> list[records.Outgoing]:
        """Write all events that were taken in, as far as they fit into the topic."""
        if not self._changes:
            return []
        most_bytes = limit_bytes(self._target.topic)
        written = []
        for change in self._changes:
            try:
                written.append(await self._written(change, most_bytes))
            except Exception as error:  # noqa: BLE001 - lineage must not keep a commit from its jobs
                self._alarm(error, "lineage", change.job.ledger_key)
        return written

    async def _written(self, change: runs.Change, most_bytes: int) -> records.Outgoing:
        found = await self._parsed(change) if change.type == "START" else statements.NOTHING
        event = run_events.build(change, self._target.namespace, self._target.rules, found)
        record = self._record(change, event)
        if not records.fits(record, most_bytes):
            record = self._record(change, run_events.smaller(event))
            records.require_fit(record, most_bytes)
        return record

    def _record(self, change: runs.Change, event: run_events.Json) -> records.Outgoing:
        return records.Outgoing(self._target.topic, change.event.key, run_events.encode(event))

    async def _parsed(self, change: runs.Change) -> statements.Found:
        """Return what the SQL of a job reads and writes; nothing if it takes too long to find out."""
        query = datasets.query_of(change.job.work)
        if query is None:
            return statements.NOTHING
        if _is_quick(query.text):
            found = statements.read(*query)
            await asyncio.sleep(0)
            return found
        try:
            async with asyncio.timeout(_THREAD_S):
                return await asyncio.to_thread(statements.read, *query)
        except TimeoutError:
            return statements.NOTHING


def _is_quick(sql: str) -> bool:
    """Return whether SQL may be parsed on the event loop: it is short, and not deeply nested."""
    return len(sql) < _THREADED_LENGTH and statements.nesting(sql) <= _MOST_NESTED
