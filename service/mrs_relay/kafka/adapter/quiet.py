"""
Limit aiokafka's own logging: during an outage of a broker it writes a hundred lines a second, with stacks.

Our own events report each trouble once (`kafka_unreachable`, `partition_failed`). Of the library's messages, the first
of each kind passes, then one every half minute.
"""

from __future__ import annotations

import logging

_EVERY_S = 30.0
_LOGGERS = (
    "aiokafka",
    "aiokafka.conn",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.coordinator.assignors.sticky.sticky_assignor",
)


class Expected(Exception):  # noqa: N818 - named for how it is meant to be read
    """Base of the errors that we raise into the library on purpose; their stacks need not be logged."""


class Unexpected(logging.Filter):
    """Drops the errors that we raise on purpose: asyncio logs them where the library never retrieves them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is written."""
        return not (record.exc_info and isinstance(record.exc_info[1], Expected))


class RareRepeats(Unexpected):
    """Drops repeats of a message template within half a minute, by the times of the log records."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is written."""
        if not super().filter(record):
            return False
        if record.created - self._passed.get(record.msg, -_EVERY_S) < _EVERY_S:
            return False
        self._passed[record.msg] = record.created
        return True


def install() -> None:
    """Put the filters on the library's loggers and on asyncio's, once."""
    for name in (*_LOGGERS, "asyncio"):
        logger = logging.getLogger(name)
        if not any(isinstance(found, Unexpected) for found in logger.filters):
            logger.addFilter(RareRepeats() if name in _LOGGERS else Unexpected())
