"""
What the status costs: CPU time of the relay for each request, with `mrs.status` and without, in turns.

Kafka is in memory and MRS answers at once within the process, so that nothing but the relay takes time. Requests wait
from the beginning, for many clusters, and are counted when they have been sent to MRS.

The status is written once a second of the wall clock. On a machine that does other work as well, a run takes several
times its CPU time, and the ratio shows several times the cost; `share` is the CPU time of one writing, out of a second.

    PYTHONPATH=. python bench/status.py [--count 20000] [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Callable
from typing import Final

from bench import stage, stopwatch

from mrs_relay import settings as all_settings
from mrs_relay import wiring
from mrs_relay.common import clock, logs
from mrs_relay.engine import status_publisher, tracing
from mrs_relay.kafka import records
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import settings as mrs_settings
from mrs_relay.mrs import transport

PARTITIONS: Final = 4
CLUSTERS: Final = 30
TOPIC: Final = "mrs.status"

Headers = Callable[[int], records.Headers]
"""The headers of a request, by its number."""


class InstantMrs:
    """
    Accepts every job at once.

    Args:
        count: after so many jobs `done` is set.
    """

    def __init__(self, count: int) -> None:
        self._left = count
        self._numbers = itertools.count()
        self.done = asyncio.Event()

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:  # noqa: ARG002 - a door
        """Answer one request."""
        if request.verb != "POST":
            return transport.Response(200, b'{"job_list":[],"total_record":0}', {"Content-Type": "application/json"})
        self._left -= 1
        if not self._left:
            self.done.set()
        body = b'{"job_submit_result":{"job_id":"j-%d","state":"COMPLETE"}}' % next(self._numbers)
        return transport.Response(200, body, {"Content-Type": "application/json"})


def settings(topic: str | None) -> all_settings.Settings:
    """Return settings as in production, without MRS's limits."""
    mrs = {
        "endpoint": "http://mrs.test",
        "project_id": stage.PROJECT,
        "access_key": "BENCH",
        "secret_key": "bench",
        "budgets": False,
    }
    engine = {"slots_per_cluster": 0, "poll_interval_s": 3600}
    given = {"mrs": mrs, "engine": engine, "kafka": {"topics": {"status": topic}}}
    return all_settings.Settings(**given)  # type: ignore[arg-type]  # pydantic makes the groups


async def cpu_us(
    count: int, topic: str | None, observing: tracing.Tracing = tracing.OFF, headers: Headers = lambda _number: ()
) -> float:
    """Return CPU time for each request in microseconds."""
    chosen = settings(topic)
    broker = memory_broker.MemoryBroker(chosen.kafka, transactions=True, latency_s=0)
    broker.create_topics(PARTITIONS)
    for number in range(count):
        value = stage.request(number, f"c-{number % CLUSTERS}")
        key = b"key-%d" % (number % 64)
        broker.put(chosen.kafka.topics.requests, number % PARTITIONS, key, value, headers(number))

    mrs = InstantMrs(count)

    def connect(given: mrs_settings.MrsSettings) -> contextlib.AbstractAsyncContextManager[clients.Client]:
        return contextlib.nullcontext(observing.client(given, mrs, clock.SystemClock()))

    async with wiring.opened(chosen, connect, broker.for_group, clock.SystemClock(), observing=observing) as served:
        started_s = time.process_time()
        running = asyncio.create_task(wiring.run(served), name="relay")
        await mrs.done.wait()
        took_s = time.process_time() - started_s
        wiring.stop(served)
        await asyncio.wait([running])
    return took_s / count * 1e6


def measure(count: int, rounds: int) -> dict[str, float]:
    """Measure all figures: the ratio is the median of the rounds, each of two runs next to each other."""
    compared, published = stopwatch.CallTimes(), stopwatch.CallTimes()
    compared.watch(status_publisher.StatusPublisher, "_compare")
    published.watch(status_publisher.StatusPublisher, "_publish")  # their number
    asyncio.run(cpu_us(count // 4, TOPIC))  # the first run imports and warms up
    pairs = []

    for number in range(rounds):
        turns = {}
        for topic in (TOPIC, None) if number % 2 else (None, TOPIC):
            turns[topic] = asyncio.run(cpu_us(count, topic))
        pairs.append((turns[TOPIC], turns[None]))

    return {
        "with_us": round(statistics.median(one for one, _ in pairs), 1),
        "without_us": round(statistics.median(one for _, one in pairs), 1),
        "ratio": round(statistics.median(one / other for one, other in pairs), 4),
        "share": round(sum(compared.spent_s) / len(published.spent_s) / status_publisher.EVERY_S, 4),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    logs.setup(level="ERROR")
    figures = measure(given.count, given.rounds)
    print(json.dumps(figures) if given.json else figures)


if __name__ == "__main__":
    main()
