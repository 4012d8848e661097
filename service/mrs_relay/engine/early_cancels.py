"""
Stop jobs whose cancels wait in the inbox behind requests, while the index of remembered requests is still being read.

Only the whole index tells a new request from a repeated one, so a partition takes no message before. A cancel of a job
under way needs no index: it is decided ahead, and once more in its turn, where it finds the job being stopped. A cancel
behind another message for its job waits for that one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Container
from typing import Final

import msgspec

from mrs_relay import errors
from mrs_relay.common import tasks
from mrs_relay.engine import context as contexts
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import cold_records
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.messages import dead_letters

LOOK_S: Final = 0.1
"""Seconds between two looks into the inbox."""


class EarlyCancels:
    """
    Finds the cancels that can be decided ahead.

    Args:
        inbox: of the partition.
        context: dependencies; says how messages are read.
        in_memory: the keys of the jobs in memory.
    """

    def __init__(
        self,
        inbox: inboxes.Inbox[contexts.Notice],
        context: contexts.TenantContext,
        in_memory: Container[jobs.LedgerKey],
    ) -> None:
        self._inbox = inbox
        self._context = context
        self._in_memory = in_memory
        self._seen: set[jobs.LedgerKey] = set()
        self._looked_to = 0

    async def look_until(self, cold: cold_records.ColdRecords, keep_fresh: Callable[[], Awaitable[None]]) -> None:
        """Look again and again until all remembered requests are indexed, and keep the lease fresh meanwhile."""
        while not cold.is_complete:
            await self.look()
            with contextlib.suppress(errors.StreamError):  # the lease has died of it, and its handler ends
                await keep_fresh()
            await cold.completed(LOOK_S)

    async def look(self) -> None:
        """Put the cancels among the records that have come since the last look into the inbox as facts."""
        async for record in tasks.in_slices(self._inbox.waiting_records(self._looked_to)):
            self._looked_to = record.offset + 1
            if self._context.controls.skipping(record.topic, record.partition, record.offset) is not None:
                continue
            settings, policy = self._context.settings, self._context.quota.policy
            meaning = reader.read(record, settings.result_job_types, settings.max_request_bytes, policy)
            if isinstance(meaning, dead_letters.DeadLetter):
                continue

            key, fact = meaning
            if isinstance(fact, facts.CancelRequested) and key in self._in_memory and key not in self._seen:
                ahead = msgspec.structs.replace(fact, is_ahead=True)
                self._inbox.put(contexts.FactNotice(key, ahead))
            self._seen.add(key)
