"""
Write records of decisions, each before the decision is carried out.

So every decision is on record; a record whose message was then not written shows by the events that are missing. A
deployment without the topic, as after an upgrade, decides as before: a warning says once a minute that nothing is kept.
"""

from __future__ import annotations

import asyncio
import functools
import getpass
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from mrs_relay.client import wording
from mrs_relay.common import clock
from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import audit, envelope

_AGAIN_S: Final = 60.0
_SUBJECT: Final = 300
_RELAY: Final = "/mrs-relay/serve"

Send = Callable[[Sequence[records.Outgoing]], Awaitable[None]]
"""Writes records and waits until Kafka has them."""


class AuditTrail:
    """
    The topic of decisions.

    Args:
        kafka: knows whether there is such a topic.
        topic: its name.
        source: CloudEvents `source` of the records.
        send: writes them.
        time: the clock.
        warn: called, at most once a minute, with the text that nothing is kept.
    """

    def __init__(
        self,
        kafka: topic_io.TopicWriter,
        topic: str,
        source: str,
        send: Send,
        time: clock.Clock,
        warn: Callable[[str], None],
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._source = source
        self._send = send
        self._time = time
        self._warn = warn
        self._exists = False
        self._asking = asyncio.Lock()
        self._asked_s = float("-inf")

    async def write(self, sender: envelope.Sender | None, *decided: tuple[str, audit.Data]) -> None:
        """
        Write records of decisions, with what each concerns, before they are carried out.

        Raises:
            StreamError: they are perhaps not written; nothing must be carried out then.
        """
        if not await self._is_there():
            return

        now_ms = self._time.now_ms()
        outgoing = []

        for subject, data in decided:
            made = audit.Record(
                id=wording.new_id(),
                source=self._source,
                time_ms=now_ms,
                subject=subject[:_SUBJECT],
                sender=sender,
                data=data,
            )
            outgoing.append(records.Outgoing(self._topic, subject.encode(), audit.write(made), audit.HEADERS))

        await self._send(outgoing)

    async def _is_there(self) -> bool:
        """Return whether there is such a topic, asked once a minute while there is none."""
        async with self._asking:  # those who decide meanwhile wait for the same answer
            now_s = self._time.monotonic_s()
            if not self._exists and now_s - self._asked_s >= _AGAIN_S:
                async with self._kafka.admin() as admin:
                    self._exists = self._topic in await admin.partition_counts()
                    if not self._exists:  # or it is hidden
                        found = await admin.cluster([self._topic])
                        self._warn(f"decisions are not kept: {topic_io.absence([self._topic], found, 'Write')}")
                self._asked_s = now_s
        return self._exists


async def note_settings(
    kafka: topic_io.TopicWriter,
    topic: str,
    time: clock.Clock,
    warn: Callable[[str], None],
    decided: tuple[str, audit.Data],
) -> None:
    """
    Write what a relay decides by its settings, as a decision of who runs it.

    Raises:
        StreamError: it is perhaps not written.
    """
    trail = AuditTrail(kafka, topic, _RELAY, functools.partial(topic_io.send, kafka), time, warn)
    await trail.write(envelope.Sender(person().authid, "system"), decided)


def person() -> envelope.Sender:
    """Return who runs this process, as the operating system says."""
    return envelope.Sender(f"{user() or 'unknown'}@{host()}", "user")


def user() -> str | None:
    """Return the name of the user of this process; None: a container's user may have none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None


def host() -> str:
    """Return the name of this host."""
    return socket.gethostname()
