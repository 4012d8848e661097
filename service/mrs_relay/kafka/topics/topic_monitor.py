"""
Check the topics' set-up again and again: it can be changed while we run.

At the start a wrong set-up ends the process. Later it is logged, once for each change, and shows in the status: the
partitions concerned wait, all others continue, and the waiting ones continue by themselves once the set-up is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import settings
from mrs_relay.kafka.topics import topic_facts, topic_setup

EVERY_S = 60.0
"""Seconds between two checks while no fault is known."""

SOON_S = 5.0
"""Seconds between two checks while a partition does not come up, or a fault is known."""

log = structlog.get_logger(__name__)


class TopicMonitor:
    """
    Repeats the check and keeps its last report.

    Args:
        kafka: the settings.
        broker: answers the questions.
        on_change: called when the number of partitions or the problem has changed.
    """

    def __init__(self, kafka: settings.KafkaSettings, broker: brokers.Broker, on_change: Callable[[], None]) -> None:
        self.partitions = 0
        self.first_partitions = 0
        self.problem: str | None = None
        self._kafka = kafka
        self._broker = broker
        self._on_change = on_change
        self._abilities: brokers.Abilities | None = None
        self._looked_s = 0.0
        self._reported: tuple[topic_facts.Finding, ...] = ()

    async def require(self, on_answer: Callable[[], None] = lambda: None) -> topic_setup.Report:
        """
        Check for the first time.

        Args:
            on_answer: called when Kafka has answered and topics are missing, while the check is repeated; `problem`
            names them from then on.

        Raises:
            SettingsError: the set-up is wrong. StreamDown: Kafka does not answer.
        """

        def incomplete(report: topic_setup.Report) -> None:
            self.problem = "; ".join(report.problems)
            on_answer()

        self._looked_s = asyncio.get_running_loop().time()
        async with self._broker.admin() as admin:
            report = await topic_setup.check_settled(admin, self._kafka, incomplete)
        report.require_sound()
        self._abilities = report.abilities
        self.partitions = self.first_partitions = report.partitions
        self._log_changes(report)
        return report

    async def check(self, *, trouble: bool) -> None:
        """
        Check again if it is time; a broker that does not answer changes nothing.

        Args:
            trouble: a partition does not come up.
        """
        wait_s = SOON_S if trouble or self.problem is not None else EVERY_S
        if asyncio.get_running_loop().time() - self._looked_s < wait_s:
            return
        try:
            self._note(await self._look())
        except errors.StreamDown as error:
            log.debug("topics_not_checked", error=str(error))

    async def _look(self) -> topic_setup.Report:
        self._looked_s = asyncio.get_running_loop().time()
        async with self._broker.admin() as admin:
            return await topic_setup.check(admin, self._kafka, self._abilities)

    def _note(self, report: topic_setup.Report) -> None:
        before = self.problem, self.partitions
        self._log_changes(report)
        if report.partitions != self.partitions:
            log.warning("partitions_changed", before=self.partitions, now=report.partitions)
        self.partitions = report.partitions
        if before != (self.problem, self.partitions):
            self._on_change()

    def _log_changes(self, report: topic_setup.Report) -> None:
        """Log new findings and remember them."""
        for finding in report.findings:
            if finding.severity == "warning" and finding not in self._reported:
                log.warning("kafka_warning", code=finding.code, text=finding.text, remedy=finding.remedy)
        self._reported = report.findings
        problem = "; ".join([*report.problems, *report.outages]) or None
        if problem is not None and problem != self.problem:
            log.error("topic_faults_found", problem=problem)
        elif problem is None and self.problem is not None:
            log.info("topic_faults_resolved")
        self.problem = problem
