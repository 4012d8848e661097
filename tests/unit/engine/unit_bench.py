"""A unit of work around a partition's jobs, and the facts of `samples` by name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.unit.engine import fakes, samples

from mrs_relay.engine import context as contexts
from mrs_relay.engine import partition_jobs, unit_of_work
from mrs_relay.engine.model import facts, job_records, jobs
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import records

KEY = jobs.ledger_key("/billing", "order-1")


def none_admitted(_key: jobs.LedgerKey, _job: jobs.Job) -> bool:
    return False


class Bench:
    """A partition's jobs and one plan on top of them."""

    def __init__(
        self,
        *committed: jobs.Job,
        admit: Callable[[jobs.LedgerKey, jobs.Job], bool] = none_admitted,
        limits: dict[str | None, int] | None = None,
        topics: contexts.Topics = fakes.TOPICS,
        **settings: Any,
    ) -> None:
        self.jobs = partition_jobs.Jobs({job.ledger_key: job for job in committed})
        self.before = dict(self.jobs)
        self.context = dataclasses.replace(fakes.context(**settings), topics=topics)
        self.unit = unit_of_work.UnitOfWork(self.jobs, self.context, fakes.lease(limits), admit)

    def happen(self, *happened: facts.Fact | str, key: jobs.LedgerKey = KEY) -> None:
        for fact in happened:
            self.unit.decide(key, samples.FACTS[fact] if isinstance(fact, str) else fact)

    def read(self, *taken: records.Record, notices: Sequence[contexts.Notice] = ()) -> None:
        for key, fact in self.unit.read(inboxes.Batch(taken, notices)):
            self.unit.decide(key, fact)

    def written(self) -> dict[bytes, jobs.Job | None]:
        return {
            change.key: job_records.decode(change.value) if change.value else None for change in self.unit.changes()
        }

    def states(self, topic: str = fakes.TOPICS.events) -> list[str]:
        return [json.loads(sent.value or b"")["state"] for sent in self.unit.outgoing() if sent.topic == topic]
