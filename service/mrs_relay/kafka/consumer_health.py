"""
Distinguish an outage of Kafka from a consumer that hangs: each needs a remedy of its own.

During an outage, wait and report it. If Kafka answers and the consumer receives nothing, the library's fetch task has
died without an error, as happens after restarts of brokers; only a new consumer helps.

While the group rebalances, a poll does not return: the library returns no records until the next assignment. That takes
as long as Kafka needs for a new coordinator, and so do requests to it, so both count as hanging only much later.

Source: aiokafka issues 625, 847, 1154; aiokafka 0.14, consumer/fetcher.py (`fetched_records`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, tasks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, settings

R = TypeVar("R")

INTERVAL_S = 1.0
_SILENT_S = 5.0  # without an answer for this long, ask whether Kafka answers at all
_ASK_EVERY_S = 10.0
_ASK_S = 10.0
_PATIENCE_S = 45.0  # beside a rebalance: for Kafka to move leaders; another consumer costs a restore of all partitions
_LONGEST_ROUND_S = INTERVAL_S + _ASK_S + 1.0  # between two calls of `hanging`; more means that the process was frozen

log = structlog.get_logger(__name__)


class ConsumerHealth:
    """
    Records when Kafka answered, and judges the consumer.

    Args:
        kafka: the settings; a silence longer than their timeouts, and than 45 s and a rebalance, counts as hanging.
        broker: answers the question whether Kafka is there.
        on_change: called when `connected` has changed.
    """

    def __init__(self, kafka: settings.KafkaSettings, broker: brokers.Broker, on_change: Callable[[], None]) -> None:
        self.connected = False
        self.error: str | None = None
        self._kafka = kafka
        self._broker = broker
        self._on_change = on_change
        self._heard_s = 0.0
        self._asked_s = 0.0
        self._there_since_s: float | None = None  # asked without a failure since
        self._polled_s = 0.0
        self._looked_s: float | None = None
        self._excused_s = 0.0
        self._answers: dict[records.Position, tuple[int | None, float]] = {}

    @property
    def silent_s(self) -> float:
        """Seconds since the partition that has been silent longest was heard of, or since Kafka was, if it is away."""
        if self._looked_s is None:
            return 0.0  # we have not joined yet
        # A partition that is not being read, such as an unreadable one, is asked for nothing.
        heard_s = [since_s for _, since_s in self._answers.values()]
        return max(0.0, _now_s() - min([*heard_s, _now_s() if self.connected else self._heard_s]))

    def heard(self) -> None:
        """Note an answer of Kafka."""
        self._heard_s = _now_s()
        if self._looked_s is None:
            self._looked_s = self._heard_s
        self._note_answer(None)

    def lost(self, error: errors.StreamDown) -> None:
        """Note that Kafka did not answer a request."""
        self._note_answer(error)

    def failed(self, error: errors.StreamDown) -> None:
        """Note that polling has failed, perhaps by a fault of the consumer; `check` asks whether Kafka is there."""
        self._show_outage(error)

    def polled(self) -> None:
        """Note that a poll has returned."""
        self._polled_s = _now_s()

    def answered(self, position: records.Position, answer: int | None, *, expected: bool) -> bool:
        """
        Note the consumer's last answer for a partition; True if it is a new one.

        Args:
            position: the partition.
            answer: see `broker.GroupConsumer.last_answer`.
            expected: the partition is being read, so there should be answers.
        """
        before, _ = self._answers.get(position, (None, 0.0))
        fresh = answer is not None and answer != before
        if fresh or not expected or position not in self._answers:
            self._answers[position] = (answer, _now_s())
        if fresh:
            self.heard()
        return fresh

    async def check(self) -> None:
        """Ask Kafka for an answer after a silence."""
        now_s = _now_s()
        if now_s - self._heard_s < _SILENT_S or now_s - self._asked_s < _ASK_EVERY_S:
            return

        self._asked_s = now_s
        try:
            async with asyncio.timeout(_ASK_S), self._broker.admin() as admin:
                await admin.partition_counts()
        except (errors.StreamDown, TimeoutError) as error:
            down = error if isinstance(error, errors.StreamDown) else errors.StreamDown("Kafka does not answer")
            log.warning("kafka_unreachable", error=str(down))
            self._note_answer(down)
        else:
            self._note_answer(None)

    def excuse(self) -> None:
        """Note that a partition has no leader: its silence is no fault of our consumer."""
        self._excused_s = _now_s()

    def hanging(
        self, silent_since_s: float | None = None, *, is_answered: bool = False, rebalancing: bool = False
    ) -> errors.ConsumerStuck | None:
        """
        Return an error if Kafka has answered all the time and our consumer has heard nothing.

        To be called after every `check`. Time in which the whole process was frozen does not count: after a freeze the
        consumer has its full time again.

        Args:
            silent_since_s: see `broker.GroupConsumer`; covers a partition in a restore, which sends requests but is not
            read.
            is_answered: brokers answer, if only by refusals, as while a coordinator moves or a topic lacks replicas.
            rebalancing: the group is about to assign its partitions again.
        """
        now_s = _now_s()
        looked_s, self._looked_s = self._looked_s, now_s
        if looked_s is not None and now_s - looked_s > _LONGEST_ROUND_S:
            self._begin_again(now_s)

        # Only silence while Kafka answers counts.
        if self._there_since_s is None:
            return None
        patience_s = max(_PATIENCE_S, self._kafka.session_timeout_ms / 1000) + self._kafka.rebalance_timeout_ms / 1000
        if now_s - self._there_since_s < patience_s:
            return None

        # A poll that never returns.
        long_s = max(patience_s, self._kafka.max_poll_interval_ms / 1000)
        if now_s - self._polled_s > (wait_s := long_s if rebalancing else patience_s):
            return errors.ConsumerStuck(f"the consumer has not come round for {wait_s:g} s although Kafka answers")

        # Requests without an answer.
        wait_s = long_s if is_answered else patience_s
        if silent_since_s is not None and now_s - max(silent_since_s, self._excused_s) > wait_s:
            return errors.ConsumerStuck(f"the consumer finds no answer for {wait_s:g} s although Kafka answers others")

        # Fetches of a partition without an answer.
        for position, (_, since_s) in self._answers.items():
            if now_s - since_s > patience_s:
                return errors.ConsumerStuck(f"the consumer receives nothing of {position} although Kafka answers")
        return None

    def forget(self, position: records.Position) -> None:
        """Forget a partition that is no longer ours."""
        self._answers.pop(position, None)

    def _begin_again(self, now_s: float) -> None:
        self._polled_s = now_s
        if self._there_since_s is not None:
            self._there_since_s = now_s
        self._answers = {position: (answer, now_s) for position, (answer, _) in self._answers.items()}

    def _note_answer(self, error: errors.StreamDown | None) -> None:
        if error is not None:
            self._there_since_s = None
        elif self._there_since_s is None:
            self._there_since_s = _now_s()
        self._show_outage(error)

    def _show_outage(self, error: errors.StreamDown | None) -> None:
        was = self.connected
        self.connected = error is None
        self.error = None if error is None else str(error)
        if was is not self.connected:
            if self.connected:
                log.info("kafka_reached")
            self._on_change()


class Attempts:
    """
    Repeats what fails while Kafka is down.

    Args:
        health: hears of each failure.
        kafka: the waits between two attempts.
        stopping: ends the wait, and the attempts.
    """

    def __init__(self, health: ConsumerHealth, kafka: settings.KafkaSettings, stopping: asyncio.Event) -> None:
        self._health = health
        self._backoff = backoff.Backoff(kafka.retry_first_s, kafka.retry_most_s)
        self._stopping = stopping

    async def repeat(self, attempt: Callable[[], Awaitable[R]]) -> R | None:
        """Repeat an attempt until it succeeds or fails otherwise; None if a stop came first."""
        failures = 0
        while not self._stopping.is_set():
            try:
                return await attempt()
            except errors.SettingsError:
                if not self._stopping.is_set():
                    raise
            except errors.StreamDown as error:
                failures += 1
                delay_s = self._backoff.delay_s(failures)
                self._health.lost(error)
                log.warning("kafka_unreachable", error=str(error), retry_in_s=round(delay_s, 1))

                # A stop ends the wait at once.
                await tasks.sleep_until(self._stopping, delay_s)
        return None


def _now_s() -> float:
    return asyncio.get_running_loop().time()
