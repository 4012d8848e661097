"""
The client's speed: signed and validated calls a second, against bare aiohttp and the vendor's SDK on 32 threads.

Rounds of all alternate in one run against the instant backend, which is a process of its own; medians are compared.

    PYTHONPATH=. python bench/client.py            a table
    PYTHONPATH=. python bench/client.py --json     one line of JSON
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pathlib
import pstats
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import uvloop
from bench import vendor

from mrs_relay.common import clock
from mrs_relay.mrs import client, settings
from mrs_relay.mrs.models import jobs as bodies
from mrs_relay.mrs.operations import jobs

PROJECT = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
CLUSTER = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"
ARGUMENTS = ["--master", "yarn", "--deploy-mode", "cluster", "obs://demo-bucket/jars/agg.jar", "2026-11-23"]
PROPERTIES = {"fs.obs.endpoint": "obs.cn-north-4.myhuaweicloud.com"}

Call = Callable[[int], Awaitable[None]]


def body_of(number: int) -> dict[str, object]:
    """Return what both sides submit."""
    name = f"nightly-aggregate-{number:08d}"
    return {"job_type": "SparkSubmit", "job_name": name, "arguments": ARGUMENTS, "properties": PROPERTIES}


@contextmanager
def instant_backend() -> Iterator[int]:
    """Run a backend for the time of the block; yields its port."""
    script = pathlib.Path(__file__).with_name("instant_backend.py")
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline().split()[1])
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def bare(port: int) -> AsyncIterator[Call]:
    """Submit the same with aiohttp alone."""
    url = f"http://127.0.0.1:{port}/v2/{PROJECT}/clusters/{CLUSTER}/job-executions"
    body = json.dumps(body_of(1)).encode()
    async with aiohttp.ClientSession() as session:

        async def call(_number: int) -> None:
            async with session.post(url, data=body) as reply:
                await reply.read()

        yield call


@asynccontextmanager
async def ours(port: int) -> AsyncIterator[Call]:
    """Submit by the client: body checked, signed, reply checked."""
    group = settings.MrsSettings(
        endpoint=f"http://127.0.0.1:{port}",
        project_id=PROJECT,
        access_key="EXAMPLEACCESSKEY0001",
        secret_key="example-secret-key-for-benchmarks",  # noqa: S106 - no real key
        budgets=False,
    )
    where = {"cluster_id": CLUSTER}
    async with client.connected(group, clock.SystemClock()) as mrs:

        async def call(number: int) -> None:
            body = bodies.JobExecution.model_validate(body_of(number))
            reply = await mrs.call(jobs.CREATE_EXECUTE_JOB, path=where, body=body)
            assert reply.job_id

        yield call


async def calls_per_s(call: Call, calls: int, workers: int) -> float:
    """Return calls a second of `workers` callers that share `calls` calls."""
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await call(number)

    started_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    return calls / (time.perf_counter() - started_s)


async def measure(flags: argparse.Namespace) -> dict[str, float | None]:
    """Measure all sides: medians, and our ratios to them, the medians of the ratios of neighbouring rounds."""
    bare_rates, our_rates, ratios = [], [], []
    sdk_rates, sdk_ratios = [], []

    with instant_backend() as port:
        async with bare(port) as bare_call, ours(port) as our_call:
            for number in range(flags.rounds + 1):
                bare_rate = await calls_per_s(bare_call, flags.calls, flags.workers)
                our_rate = await calls_per_s(our_call, flags.calls, flags.workers)
                sdk_rate = await sdk_calls_per_s(port, flags.sdk_calls) if number and flags.sdk_calls else None
                if number:  # the first round warms up
                    bare_rates.append(bare_rate)
                    our_rates.append(our_rate)
                    ratios.append(our_rate / bare_rate)
                if sdk_rate is not None:
                    sdk_rates.append(sdk_rate)
                    sdk_ratios.append(our_rate / sdk_rate)

    return {
        "bare_per_s": round(statistics.median(bare_rates)),
        "client_per_s": round(statistics.median(our_rates)),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_low": round(min(ratios), 3),
        "ratio_high": round(max(ratios), 3),
        "sdk_per_s": round(statistics.median(sdk_rates)) if sdk_rates else None,
        "ratio_to_sdk": round(statistics.median(sdk_ratios), 1) if sdk_ratios else None,
    }


async def sdk_calls_per_s(port: int, calls: int) -> float | None:
    """Measure the vendor's SDK against the same backend; None when it is not installed."""
    if not vendor.installed():
        return None
    url = f"http://127.0.0.1:{port}"
    return await asyncio.to_thread(vendor.calls_per_s, url, PROJECT, CLUSTER, body_of(1), calls)


async def profile(flags: argparse.Namespace) -> None:
    """Show where the client's time goes."""
    with instant_backend() as port:
        async with ours(port) as call:
            await calls_per_s(call, flags.calls, flags.workers)
            profiler = cProfile.Profile()
            profiler.enable()
            await calls_per_s(call, flags.calls, flags.workers)
            profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def main() -> None:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description="Signed, validated calls over bare aiohttp.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=4000, help="per round and side")
    parser.add_argument("--sdk-calls", type=int, default=640, help="the same for the vendor's SDK; 0 leaves it out")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--profile", action="store_true", help="show where the client's time goes instead")
    flags = parser.parse_args()
    run = uvloop.run if flags.loop == "uvloop" else asyncio.run
    if flags.profile:
        run(profile(flags))
        return

    figures = run(measure(flags))
    if flags.json:
        print(json.dumps({"bench": "client", "workers": flags.workers, "loop": flags.loop, **figures}))
        return

    print(f"{flags.workers} workers, {flags.rounds} rounds of {flags.calls} calls, {flags.loop}")
    print(f"  bare aiohttp   {figures['bare_per_s']:>7.0f} calls/s")
    print(f"  mrs client     {figures['client_per_s']:>7.0f} calls/s, signed and validated")
    print(f"  ratio          {figures['ratio']:>7.2f} ({figures['ratio_low']:.2f} to {figures['ratio_high']:.2f})")
    if figures["sdk_per_s"] is None:
        print("  vendor's SDK   not measured: huaweicloudsdkmrs is not installed, or it was left out")
        return
    print(f"  vendor's SDK   {figures['sdk_per_s']:>7.0f} calls/s on {vendor.THREADS} threads")
    print(f"  ratio          {figures['ratio_to_sdk']:>7.1f}")


if __name__ == "__main__":
    main()
