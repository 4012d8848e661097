"""
What traces cost: CPU time of the relay for each request, with traces and without, in turns, for shares of requests.

The run is that of `bench/status.py`. Requests bring no trace context; with `--sampled` each brings one of a producer
that samples it, so that all are traced whatever the share. A collector in a process of its own takes the spans. The
CPU time includes that of the thread that encodes and sends them.

    PYTHONPATH=. python bench/traces.py [--count 3000] [--rounds 5] [--ratio 0 0.02 1] [--sampled] [--calls] [--json]

With `--calls` the calls of Python functions are counted in the main thread, in one run each, instead of time: they do
not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final

from bench import status

from mrs_relay.common import logs
from mrs_relay.engine import tracing
from mrs_relay.kafka import records
from mrs_relay.traces import opened
from mrs_relay.traces import settings as traces_settings

_COLLECTOR: Final = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *given):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""

_chance = random.Random(5)  # noqa: S311 - ids of traces are no secrets


@contextlib.contextmanager
def collector() -> Iterator[str]:
    """Run a collector that forgets everything; the address that takes spans."""
    process = subprocess.Popen([sys.executable, "-c", _COLLECTOR], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1/traces"
    finally:
        process.kill()
        process.wait()


def sampled(_number: int) -> records.Headers:
    """A trace context of a producer that samples its trace."""
    text = b"00-%032x-%016x-01" % (_chance.getrandbits(128), _chance.getrandbits(64))
    return (("traceparent", text),)


def plain(_number: int) -> records.Headers:
    """No trace context."""
    return ()


async def one_us(count: int, url: str, ratio: float | None, headers: status.Headers) -> float:
    """CPU time for each request in microseconds; without traces for None."""
    if ratio is None:
        return await status.cpu_us(count, None, tracing.OFF, headers)
    async with contextlib.AsyncExitStack() as stack:
        chosen = traces_settings.TracesSettings(endpoint=url, ratio=ratio)
        observing = await stack.enter_async_context(opened.opened(chosen))
        took_us = await status.cpu_us(count, None, observing, headers)
        started_s = time.process_time()
        await stack.aclose()  # what waits is sent
        return took_us + (time.process_time() - started_s) / count * 1e6


def measure(count: int, rounds: int, ratio: float, url: str, headers: status.Headers) -> dict[str, float]:
    """All figures of a share: the median of the rounds, each of which compares two runs next to each other."""
    pairs = []
    asyncio.run(one_us(count // 4, url, ratio, headers))  # the first run imports and warms up
    for number in range(rounds):
        turns = {}
        for share in (ratio, None) if number % 2 else (None, ratio):
            turns[share] = asyncio.run(one_us(count, url, share, headers))
        pairs.append((turns[ratio], turns[None]))
    return {
        "share": ratio,
        "with_us": round(statistics.median(one for one, _ in pairs), 1),
        "without_us": round(statistics.median(one for _, one in pairs), 1),
        "ratio": round(statistics.median(one / other for one, other in pairs), 4),
    }


def calls(count: int, url: str, ratio: float | None, headers: status.Headers) -> int:
    """Calls of functions, in Python and in C and in all threads, in one run."""
    found = itertools.count()

    def note(_frame: object, event: str, _argument: object) -> None:
        if event in {"call", "c_call"}:
            next(found)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        asyncio.run(one_us(count, url, ratio, headers))
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return next(found)


def count_calls(count: int, ratio: float, url: str, headers: status.Headers) -> dict[str, float]:
    """
    Calls for each request, with traces and without: what a run of twice the length has more.

    The longest run comes once before, so that no run fills the caches of ids, which are the same in all, for the next.
    """
    asyncio.run(one_us(2 * count, url, ratio, headers))
    with_, without = (
        (calls(2 * count, url, share, headers) - calls(count, url, share, headers)) / count for share in (ratio, None)
    )
    return {
        "share": ratio,
        "with_calls": round(with_, 1),
        "without_calls": round(without, 1),
        "ratio": round(with_ / without, 4),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ratio", type=float, nargs="+", default=[0.0, 0.02, 1.0])
    parser.add_argument("--sampled", action="store_true", help="each request brings the context of a sampled trace")
    parser.add_argument("--calls", action="store_true", help="count calls instead of time")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each share")
    given = parser.parse_args()
    logs.setup(level="ERROR")
    headers = sampled if given.sampled else plain
    with collector() as url:
        for ratio in given.ratio:
            if given.calls:
                figures = count_calls(given.count, ratio, url, headers)
            else:
                figures = measure(given.count, given.rounds, ratio, url, headers)
            print(json.dumps(figures) if given.json else figures, flush=True)


if __name__ == "__main__":
    main()
