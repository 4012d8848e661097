"""
Keeps aiokafka's own logging readable: while a broker is away it writes a hundred lines a second, stacks included.

Our own events say what matters once (`kafka_unreachable`, `partition_failed`); of the library's, the first of each kind
gets through, then one every half minute.
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
    """Base of what we raise into the library on purpose; it need not write down the stack."""


class Unexpected(logging.Filter):
    """Lets everything pass but what we raise on purpose: asyncio tells of it where the library asks nobody for it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is written."""
        return not (record.exc_info and isinstance(record.exc_info[1], Expected))


class RareRepeats(Unexpected):
    """Lets a message of the same template pass once in a while; times are those of the log records."""

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
