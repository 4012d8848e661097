"""
The seam between the engine and its traces; `mrs_relay.traces` is behind it when they are on.

What is called here only observes: it changes no decision except a new job's trace context, and never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from mrs_relay.common import clock
from mrs_relay.engine.execution import submitter
from mrs_relay.engine.model import facts, jobs
from mrs_relay.messages import events
from mrs_relay.mrs import client as clients


class Traces(Protocol):
    """Observe the partitions of one tenant."""

    def started(self, fact: facts.Fact) -> facts.Fact:
        """Give the job of a request that is new, and has no trace context, one of its own; other facts stay."""

    def committed(
        self,
        partition: int,
        decided_ms: int,
        changed: Mapping[jobs.LedgerKey, jobs.Job | None],
        before: Mapping[jobs.LedgerKey, jobs.Job],
        published: Sequence[events.Event],
    ) -> None:
        """
        Record a commit.

        Args:
            partition: of the input topic.
            decided_ms: when its decisions were made, epoch milliseconds.
            changed: the jobs as committed now; None: the job is forgotten.
            before: the jobs as committed before.
            published: the events of the commit.
        """


class Tracing(Protocol):
    """
    Observe one process.

    Attributes:
        client: makes a client of MRS whose calls are observed.
        submitter: makes a submitter whose steps are observed.
    """

    @property
    def client(self) -> Callable[..., clients.Client]:
        """See above."""

    def tenant(self, requests: str, published: str, time: clock.Clock) -> Traces:
        """Observe a tenant whose requests and events have these topics."""

    @property
    def submitter(self) -> Callable[..., submitter.Submitter]:
        """See above."""


class Off:
    """Traces that are off, of a process and of its tenants."""

    client = clients.Client
    submitter = submitter.Submitter

    def tenant(self, requests: str, published: str, time: clock.Clock) -> Traces:
        """See `Tracing`."""
        del requests, published, time
        return self

    def started(self, fact: facts.Fact) -> facts.Fact:
        """See `Traces`."""
        return fact

    def committed(
        self,
        partition: int,
        decided_ms: int,
        changed: Mapping[jobs.LedgerKey, jobs.Job | None],
        before: Mapping[jobs.LedgerKey, jobs.Job],
        published: Sequence[events.Event],
    ) -> None:
        """See `Traces`."""


OFF: Final = Off()
