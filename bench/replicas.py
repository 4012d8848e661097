"""
How throughput grows with replicas on this machine: 1, 2 and 4 relay processes of one group, real Kafka.

The replicas share the partitions before the requests come. All of them, the broker and the backend run on the same
cores, so what is seen is where those end, not what a cluster of machines would do; no figure has a target.

    PYTHONPATH=. python bench/replicas.py [--count 20000] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final

from bench import stage
from tests.support import brokers, ports

REPLICAS: Final = (1, 2, 4)
PARTITIONS: Final = 8
_LONGEST_S: Final = 300.0


def owned(web_port: int) -> list[str]:
    """Return states of a replica's partitions; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{web_port}/ready", timeout=5) as reply:
            status = json.loads(reply.read())
    except (urllib.error.URLError, OSError):
        return []
    return [one["state"] for one in status["partitions"]]


def until_shared(web_ports: Sequence[int]) -> None:
    """
    Wait until the replicas share the partitions evenly and all are theirs.

    Raises:
        TimeoutError: they do not within a minute.
    """
    deadline_s = time.monotonic() + 60
    while True:
        states = [owned(port) for port in web_ports]
        if all(len(one) == PARTITIONS // len(web_ports) and set(one) == {"running"} for one in states):
            return
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the replicas do not share {PARTITIONS} partitions: {states}")
        time.sleep(0.2)


def per_s(bootstrap: str, address: str, prefix: str, replicas: int, count: int) -> float:
    """Return requests a second through to `submitted`, all replicas together."""
    asyncio.run(stage.make_topics(bootstrap, prefix, PARTITIONS))
    web_ports = [ports.free_port() for _ in range(replicas)]
    with contextlib.ExitStack() as stack:
        for port in web_ports:
            stack.enter_context(stage.relay(bootstrap, prefix, address, web_port=port))
        until_shared(web_ports)
        events = f"{prefix}.events"
        asyncio.run(stage.fill(bootstrap, prefix, count))
        asyncio.run(stage.until(bootstrap, events, 2 * count, partitions=PARTITIONS, timeout_s=_LONGEST_S))
        reading = stage.event_times(bootstrap, events, count)
        return stage.rate(asyncio.run(asyncio.wait_for(reading, _LONGEST_S)))


def measure(count: int, rounds: int) -> dict[str, object]:
    """Measure all numbers of replicas, round by round; medians."""
    rates: dict[int, list[float]] = {replicas: [] for replicas in REPLICAS}
    with (
        tempfile.TemporaryDirectory() as folder,
        brokers.start_kafka(pathlib.Path(folder)) as kafka,
        stage.backend() as address,
    ):
        for number in range(rounds):
            for replicas in REPLICAS:
                rate = per_s(kafka.bootstrap, address, f"of{replicas}.{number}", replicas, count)
                rates[replicas].append(rate)
                print(f"  round {number + 1}: {replicas} replicas {rate:.0f}/s", file=sys.stderr, flush=True)

    alone = rates[REPLICAS[0]]

    return {
        "requests": count,
        "rounds": rounds,
        "partitions": PARTITIONS,
        "cores": os.cpu_count(),
        "measured": [
            {
                "replicas": replicas,
                "per_s": round(statistics.median(each)),
                "to_one": round(statistics.median(rate / one for rate, one in zip(each, alone, strict=True)), 2),
            }
            for replicas, each in rates.items()
        ],
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    stage.quiet()
    figures = measure(given.count, given.rounds)
    print(json.dumps(figures) if given.json else figures)


if __name__ == "__main__":
    main()
