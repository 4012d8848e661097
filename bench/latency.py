"""
The delay from a message to its POST when there is nothing else to do, over the bare loop's.

Both programs run side by side on the same Kafka and backend, and messages go to the one and the other in turn, so that
whatever else the machine does meets both. The clock runs from just before the message is sent to Kafka to the moment
in which the backend has read the POST, to the millisecond.

    PYTHONPATH=. python bench/latency.py [--messages 400] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pathlib
import random
import statistics
import tempfile
import time
import urllib.request
from typing import Final

import aiokafka
from bench import stage
from tests.support import brokers

CLUSTERS: Final = {"bare": "bare-loop", "relay": "relay"}
WARM_UP: Final = 20
PAUSE_S: Final = (0.04, 0.12)
"""Shortest and longest pause between two messages; each program sees every second one."""

_LONGEST_S: Final = 60.0


async def send_in_turn(bootstrap: str, first: int, count: int) -> dict[str, dict[int, float]]:
    """Send `count` messages to each program, numbered from `first`; when each was sent, epoch milliseconds."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1)
    sent: dict[str, dict[int, float]] = {name: {} for name in CLUSTERS}
    chance = random.Random(first)  # noqa: S311 - pauses, no secrets
    await producer.start()

    try:
        for number in range(first, first + count):
            for name, cluster in CLUSTERS.items():
                await asyncio.sleep(chance.uniform(*PAUSE_S))
                sent[name][number] = time.time() * 1000
                await producer.send_and_wait(
                    f"{name}.requests", stage.request(number, cluster), partition=number % stage.PARTITIONS
                )
    finally:
        await producer.stop()

    return sent


def arrived_ms(address: str, name: str) -> dict[int, float]:
    """Map the number of each message to when its POST was read, in epoch milliseconds."""
    url = f"{address}/v2/{stage.PROJECT}/clusters/{CLUSTERS[name]}/job-executions?limit=1000000"
    with urllib.request.urlopen(url, timeout=_LONGEST_S) as reply:  # noqa: S310 - our own backend
        rows = json.loads(reply.read())["job_list"]
    return {int(row["job_name"].split("-")[1]): row["submitted_time"] for row in rows}


async def until_arrived(address: str, numbers: set[int]) -> dict[str, dict[int, float]]:
    """
    Wait until both programs have submitted these messages.

    Raises:
        TimeoutError: one of them has not within a minute.
    """
    async with asyncio.timeout(_LONGEST_S):
        while True:
            found = {name: await asyncio.to_thread(arrived_ms, address, name) for name in CLUSTERS}
            if all(numbers <= there.keys() for there in found.values()):
                return found
            await asyncio.sleep(0.5)


async def delays_ms(bootstrap: str, address: str, messages: int) -> dict[str, list[float]]:
    """Return the sorted delays of each program, in milliseconds; the first messages only warm up."""
    await send_in_turn(bootstrap, 0, WARM_UP)
    await until_arrived(address, set(range(WARM_UP)))
    sent = await send_in_turn(bootstrap, WARM_UP, messages)
    there = await until_arrived(address, set(range(WARM_UP, WARM_UP + messages)))
    return {name: sorted(there[name][number] - at_ms for number, at_ms in sent[name].items()) for name in CLUSTERS}


def p99(delays: list[float]) -> float:
    """Return the value that 99 of 100 stay below."""
    return statistics.quantiles(delays, n=100)[98]


def measure(messages: int) -> dict[str, object]:
    """Start everything, send, compare."""
    with (
        tempfile.TemporaryDirectory() as folder,
        brokers.start_kafka(pathlib.Path(folder)) as kafka,
        stage.backend() as address,
    ):
        return on(kafka.bootstrap, address, messages)


def on(bootstrap: str, address: str, messages: int) -> dict[str, object]:
    """Send and compare on a Kafka and a backend that run."""
    for name in CLUSTERS:
        asyncio.run(stage.make_topics(bootstrap, name))
    command = stage.loop_command("bare_loop.py", bootstrap, "bare", address, 1_000_000_000)
    with stage.process_of(command), stage.relay(bootstrap, "relay", address):
        delays = asyncio.run(delays_ms(bootstrap, address, messages))
    found = {f"{name}_{point}_ms": value for name in CLUSTERS for point, value in points(delays[name]).items()}
    added_ms = round(p99(delays["relay"]) - p99(delays["bare"]), 1)
    return {"messages": messages, **found, "added_p99_ms": added_ms}


def points(delays: list[float]) -> dict[str, float]:
    """Return what is reported of the delays of one program."""
    return {"p50": round(statistics.median(delays), 1), "p99": round(p99(delays), 1), "most": round(delays[-1], 1)}


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=400, help="to each program")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    stage.quiet()
    figures = measure(given.messages)
    print(json.dumps(figures) if given.json else figures)


if __name__ == "__main__":
    main()
