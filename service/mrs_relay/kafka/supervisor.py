"""
Run the runtime of one input topic, and replace it after an error, while other topics are served.

A runtime waits by itself during an outage of Kafka, and restarts a partition that fails. Only errors that need a
person or a new consumer end it. A consumer that hangs is no reason to end the process: the next runtime has another
one, and its claims fence the writes that the last one left behind. Missing topics, missing rights and another
deployment's claims need a person. Alone, such a runtime ends the process. Beside others it is tried again in the
background, with growing waits, until it works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, tasks
from mrs_relay.kafka import counts as runtime_counts
from mrs_relay.kafka import runtime
from mrs_relay.kafka import status as statuses

T = TypeVar("T")

_BACKOFF: Final = backoff.Backoff(first_s=1.0, most_s=60.0)

_PEACE_S: Final = 600.0
"""After a run of this length the count of failures in a row starts again: the next wait is the shortest."""

log = structlog.get_logger(__name__)


class Supervisor(Generic[T]):
    """
    Runs one runtime after the other; to be run once.

    Args:
        make: makes a runtime, not yet run; called once for each start.
        topic: its input topic, for the log.
        on_end: called each time that a runtime has ended and has released everything.

    Attributes:
        fault: the error that ended the last runtime; None before that, and once all partitions are worked on again.
        counts: of all runtimes together, for metrics.
    """

    def __init__(
        self, make: Callable[[], runtime.Runtime[T]], topic: str, on_end: Callable[[], None] = lambda: None
    ) -> None:
        self.fault: errors.RelayError | None = None
        self.counts = runtime_counts.RuntimeCounts()
        self._make = make
        self._topic = topic
        self._on_end = on_end
        self._runtime = self._made()
        self._stopping = asyncio.Event()

    async def run(self, goes_on: Callable[[], bool] = lambda: False) -> None:
        """
        Work until `stop`, with a new runtime after each error. A cancellation leaves without draining.

        Args:
            goes_on: asked after an error that needs a person: whether to start another runtime. Default: no.

        Raises:
            SettingsError, StreamError: as `Runtime.run`, if no other runtime is to start; after ConsumerStuck one is.
        """
        failures = 0
        while not self._stopping.is_set():
            began_s = asyncio.get_running_loop().time()
            error = await self._run_once()
            self._on_end()
            if error is None:
                return

            self.fault = error
            final = isinstance(error, errors.InstanceReplaced)  # a new runtime would replace the other one in turn
            if self._stopping.is_set() or final or not (isinstance(error, errors.ConsumerStuck) or goes_on()):
                raise error

            failures = 1 if asyncio.get_running_loop().time() - began_s > _PEACE_S else failures + 1
            delay_s = _BACKOFF.delay_s(failures)
            log.error("runtime_ended", topic=self._topic, error=str(error), retry_in_s=round(delay_s, 1))
            self._runtime = self._made()

            # A stop ends the wait at once.
            await tasks.sleep_until(self._stopping, delay_s)

    @property
    def topic(self) -> str:
        """The input topic."""
        return self._topic

    @property
    def membership(self) -> statuses.Membership | None:
        """Return the present runtime's part of the topic; None while the group rebalances."""
        return self._runtime.membership

    async def read_notes(self) -> Mapping[int, str]:
        """Return the notes of all partitions; see `Runtime.read_notes`."""
        return await self._runtime.read_notes()

    async def write_note(self, partition: int, note: str) -> bool:
        """Write a note beside an offset of ours; see `Runtime.write_note`."""
        return await self._runtime.write_note(partition, note)

    def stop(self) -> None:
        """Begin the shutdown; `run` returns when it is done."""
        self._stopping.set()
        self._runtime.stop()

    async def ready(self) -> None:
        """Return once the present runtime works on all our partitions."""
        await self._runtime.ready()

    def status(self) -> statuses.Status:
        """Return the present state; see `Runtime.status`."""
        return self._runtime.status()

    def _made(self) -> runtime.Runtime[T]:
        made = self._make()
        made.counts = self.counts
        return made

    async def _run_once(self) -> errors.RelayError | None:
        """Run the present runtime to its end; returns the error that ended it, or None after a stop."""
        async with tasks.TaskSupervisor(_report) as task_supervisor:
            task_supervisor.start(self._recover(self._runtime), name=f"recovery of {self._topic}")
            try:
                await self._runtime.run()
            except errors.RelayError as error:
                return error
            except Exception as error:
                # As in the loop of a partition: a bug that shows in one topic must not end the others.
                log.exception("runtime_failed", topic=self._topic)
                return errors.StreamError(f"the runtime of {self._topic} failed: {error!r}")
        return None

    async def _recover(self, running: runtime.Runtime[T]) -> None:
        """Clear the last fault once all partitions are worked on again."""
        await running.ready()
        if self.fault is not None:
            log.info("runtime_recovered", topic=self._topic)
            self.fault = None


def _report(task: str, error: BaseException) -> None:
    log.error("task_failed", task=task, exc_info=error)
