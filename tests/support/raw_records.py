"""
Odd things that Kafka carries and Python's clients do not write by themselves.

As a program, with AIOKAFKA_NO_EXTENSIONS=1: `python -m tests.support.raw_records BOOTSTRAP TOPIC PARTITION VALUE`
writes a record with a header whose name is not UTF-8.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any, Self

import aiokafka


class Name(str):
    """
    A header name of any bytes.

    Only the part of aiokafka that is written in Python (AIOKAFKA_NO_EXTENSIONS) asks it for its bytes.
    """

    __slots__ = ("raw",)

    raw: bytes

    def __new__(cls, raw: bytes) -> Self:
        made = super().__new__(cls, raw.decode(errors="replace"))
        made.raw = raw
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        return self.raw


def write(bootstrap: str, topic: str, partition: int, value: str) -> None:
    """Write one record with such a header, in a process of its own: the part of the library is chosen at import."""
    command = [sys.executable, "-m", "tests.support.raw_records", bootstrap, topic, str(partition), value]
    subprocess.run(command, env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}, check=True, timeout=60)


async def _write(bootstrap: str, topic: str, partition: int, value: bytes) -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    headers: Any = [("good", b"1"), (Name(b"\xff\xfe"), b"2")]
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, partition=partition, headers=headers)
    finally:
        await producer.stop()


if __name__ == "__main__":
    asyncio.run(_write(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].encode()))
