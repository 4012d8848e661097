"""
The whole service in virtual time, for benchmarks that count instead of timing.

Everything is the code that runs in production but two doors: Kafka is the in-memory broker and HTTP a function call to
the emulator. Minutes of a quota pass in seconds, and the counts are the same on every machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import looptime
from tests.support import service

from mrs_relay.common import logs

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run in a loop of its own whose clock starts at 0 and jumps to the next timer."""
    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(start=0, _enabled=True)) as runner:
        return runner.run(work)


def main(measure: Callable[[int], dict[str, Any]], text: str, *, log_level: str) -> None:
    """Read the command line of a benchmark in virtual time, measure, print."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10, help="of virtual time")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    logs.setup(level=log_level)
    figures = measure(given.minutes)
    print(json.dumps(figures) if given.json else figures)


def request(number: int, run_s: float) -> bytes:
    """Return a request for a job that runs for `run_s` seconds."""
    job = {"job_type": "SparkSubmit", "job_name": "bench", "properties": {"emulator.duration_s": str(run_s)}}
    data = {"cluster": service.CLUSTER, "job": job}
    return json.dumps({"id": f"r-{number}", "source": "/bench", "type": "mrs.job.submit", "data": data}).encode()
