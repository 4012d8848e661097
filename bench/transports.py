"""
What a call costs over each of the two transports: CPU time of this process, against the instant backend.

    PYTHONPATH=. python bench/transports.py
"""

from __future__ import annotations

import asyncio
import time

import uvloop
from bench import client

from mrs_relay.mrs import session_transport, settings, transport

WORKERS = 32
CALLS_EACH = 300
REQUEST = transport.Request("POST", "/v2/p/clusters/c/job-executions", {"Host": "h"}, b'{"job_name":"a-mr00"}')


async def cpu_us_per_call(kind: type[transport.AiohttpTransport | session_transport.SessionTransport]) -> float:
    """Return microseconds of CPU time for a call, after a warm-up."""
    with client.instant_backend() as port:
        group = settings.MrsSettings(
            endpoint=f"http://127.0.0.1:{port}",
            project_id=client.PROJECT,
            access_key="EXAMPLEACCESSKEY0001",
            secret_key="example-secret-key-for-benchmarks",  # noqa: S106 - no real key
        )
        async with kind(group) as door:

            async def send(count: int) -> None:
                for _ in range(count):
                    await door.send(REQUEST, 30.0)

            async def send_all(count: int) -> float:
                began_s = time.process_time()
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(WORKERS):
                        tasks.create_task(send(count))
                return time.process_time() - began_s

            await send_all(CALLS_EACH // 10)
            return await send_all(CALLS_EACH) / (WORKERS * CALLS_EACH) * 1e6


async def main() -> None:
    """Measure both and print a line for each."""
    for kind in (transport.AiohttpTransport, session_transport.SessionTransport):
        print(f"{kind.__name__}: {await cpu_us_per_call(kind):.0f} us of CPU a call")


if __name__ == "__main__":
    uvloop.run(main())
