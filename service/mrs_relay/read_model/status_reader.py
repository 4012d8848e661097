"""Follow the topic of the relays' status, from its beginning, for as long as the process runs."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.client import reading
from mrs_relay.kafka import topic_io
from mrs_relay.read_model import status_board

_TAKE_S: Final = 0.5
_AGAIN_S: Final = 5.0

_log = structlog.get_logger(__name__)


class StatusReader:
    """
    Reads the topic into a board.

    Args:
        kafka: opens the topic.
        topic: its name; None: nothing is published.

    Attributes:
        board: what has been read.
        problem: why the board is not up to date, for people; None: it is.
    """

    def __init__(self, kafka: topic_io.TopicClient, topic: str | None) -> None:
        self._kafka = kafka
        self._topic = topic
        self.board = status_board.StatusBoard()
        self.problem: str | None = "the status of the relays has not been read yet"
        if topic is None:
            self.problem = "kafka.topics.status is not set: the relays publish no status"

    async def run(self) -> None:
        """Read until cancelled; failures are logged once and tried again."""
        if self._topic is None:
            return
        while True:
            try:
                await self._read(self._topic)
            except errors.RelayError as error:
                if self.problem != str(error):
                    _log.warning("status_not_read", topic=self._topic, error=str(error))
                self.problem = str(error)
                await asyncio.sleep(_AGAIN_S)

    async def _read(self, topic: str) -> None:
        async with reading.Follower(self._kafka, topic, topic_io.BEGINNING) as follower:
            self.board = status_board.StatusBoard()  # the topic may be another one than before
            while True:
                for record in await follower.take(_TAKE_S):
                    self.board.apply(record)
                behind = await follower.behind()
                if behind is None or follower.problem is not None:
                    self.problem = f"topic {topic}: {follower.problem or 'Kafka does not answer'}"
                elif not behind:
                    self.problem = None
