"""
What traces cost: CPU time of the relay for each request, with traces and without, in turns, for shares of requests.

The run is that of `bench/status.py`. Requests bring no trace context; with `--sampled` each brings one of a producer
that samples it, so that all are traced whatever the share. A collector in a process of its own takes the spans. The
CPU time includes that of the thread that encodes and sends them.

    PYTHONPATH=. python bench/traces.py [--count 3000] [--rounds 5] [--ratio 0 0.01 1] [--sampled] [--within] [--json]
    PYTHONPATH=. python bench/traces.py --kafka --count 10000 [--rounds 5] [--ratio 0 0.01 1] [--json]

With `--within` the clock stands in the code itself: the CPU time within the functions that make spans, and of the
thread that sends them, for each request, and what part that is of the whole. Each clock adds to what it measures, and
the rest of the run has to be measured once only, so this shows a few per cent that the comparison of runs cannot show.
With `--kafka` it does so in a relay as it is: a process that reads and writes a real Kafka, and calls MRS over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import random
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from bench import stage, status, stopwatch
from tests.support import brokers

from mrs_relay.common import logs
from mrs_relay.engine import tracing
from mrs_relay.kafka import records
from mrs_relay.traces import opened, process, recorder, tenant_traces
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
    """Return a trace context of a producer that samples its trace."""
    text = b"00-%032x-%016x-01" % (_chance.getrandbits(128), _chance.getrandbits(64))
    return (("traceparent", text),)


def plain(_number: int) -> records.Headers:
    """Return no trace context."""
    return ()


async def one_us(count: int, url: str, ratio: float | None, headers: status.Headers) -> float:
    """Return CPU time for each request in microseconds; without traces for None."""
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
    """Measure all figures of a share: the median of the rounds, each of two runs next to each other."""
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


def watched() -> stopwatch.CallTimes:
    """Have all functions timed that make spans, and the one that sends them."""
    watch = stopwatch.CallTimes()
    for owner, name in (
        (tenant_traces.TenantTraces, "started"),
        (tenant_traces.TenantTraces, "committed"),
        (process.Steps, "of"),
        (process.TracedClient, "_note"),
        (recorder.Recorder, "record"),
        (recorder.Outages, "export"),
    ):
        watch.watch(owner, name)

    return watch


def within(
    count: int, rounds: int, ratios: list[float], url: str, headers: status.Headers
) -> Iterator[dict[str, float]]:
    """Return the CPU time that makes and sends spans, and its part of the relay's, by share: medians of the rounds."""
    watch = watched()
    asyncio.run(one_us(count // 4, url, 1.0, headers))  # the first run imports and warms up
    for ratio in ratios:
        found = []
        for _ in range(rounds):
            watch.spent_s.clear()
            whole_us = asyncio.run(one_us(count, url, ratio, headers))
            found.append((sum(watch.spent_s) / count * 1e6, whole_us))
        yield _part(ratio, found)


def served() -> None:
    """Run the relay in this process, with the clocks in it; at its end write what they show to the file `WATCHED`."""
    watch = watched()
    begun_s: list[float] = []
    started = tenant_traces.TenantTraces.started

    def noting(*given: Any) -> Any:  # noqa: ANN401 - as the function has it
        if not begun_s:  # the first request: the start of the process does not count
            begun_s.append(time.process_time())
        return started(*given)

    tenant_traces.TenantTraces.started = noting  # type: ignore[method-assign, assignment]
    try:
        runpy.run_module("mrs_relay", run_name="__main__", alter_sys=True)
    finally:
        found = {"spans_s": sum(watch.spent_s), "whole_s": time.process_time() - begun_s[0]}
        pathlib.Path(os.environ["WATCHED"]).write_text(json.dumps(found), encoding="utf-8")


def on_kafka(count: int, rounds: int, ratios: list[float], url: str) -> Iterator[dict[str, float]]:
    """Measure as `within`, of a relay's process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        brokers.start_kafka(pathlib.Path(folder)) as kafka,
        stage.backend() as address,
    ):
        noted = pathlib.Path(folder) / "watched.json"
        for ratio in ratios:
            found = []
            for number in range(rounds):
                prefix = f"traced{ratio}-{number}"
                asyncio.run(stage.make_topics(kafka.bootstrap, prefix))
                asyncio.run(stage.fill(kafka.bootstrap, prefix, count))
                chosen = {"TRACES__ENDPOINT": url, "TRACES__RATIO": str(ratio)}
                os.environ["WATCHED"] = str(noted)
                with stage.relay(kafka.bootstrap, prefix, address, more=chosen, program=(__file__,)):
                    asyncio.run(stage.until(kafka.bootstrap, f"{prefix}.events", 2 * count, timeout_s=300))
                one = json.loads(noted.read_text(encoding="utf-8"))
                found.append((one["spans_s"] / count * 1e6, one["whole_s"] / count * 1e6))
            yield _part(ratio, found)


def _part(ratio: float, found: Sequence[tuple[float, float]]) -> dict[str, float]:
    return {
        "share": ratio,
        "spans_us": round(statistics.median(spans for spans, _ in found), 1),
        "whole_us": round(statistics.median(whole for _, whole in found), 1),
        "part": round(statistics.median(spans / whole for spans, whole in found), 4),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ratio", type=float, nargs="+", default=[0.0, 0.01, 1.0])
    parser.add_argument("--sampled", action="store_true", help="each request brings the context of a sampled trace")
    parser.add_argument("--within", action="store_true", help="time what makes spans, instead of comparing runs")
    parser.add_argument("--kafka", action="store_true", help="the same of a relay's process, on a real Kafka")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each share")
    given = parser.parse_args()
    logs.setup(level="ERROR")
    headers = sampled if given.sampled else plain

    with collector() as url:
        if given.kafka:
            all_figures = on_kafka(given.count, given.rounds, given.ratio, url)
        elif given.within:
            all_figures = within(given.count, given.rounds, given.ratio, url, headers)
        else:
            all_figures = (measure(given.count, given.rounds, ratio, url, headers) for ratio in given.ratio)
        for figures in all_figures:
            print(json.dumps(figures) if given.json else figures, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        served()
    else:
        main()
