"""
The usual way today: a FastStream subscriber around the vendor's SDK, which blocks, so in threads.

Run by `bench/relay.py`, in two ways. By itself it has 32 workers and no guarantees: a message is acknowledged before
it is handled, which is the only way in which FastStream handles several messages of a partition at a time. With
`--ack after` no request is lost when it is killed: each is acknowledged after its event, one at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import logging
from typing import Any, Final

import faststream
from faststream import kafka
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkmrs import v2

WORKERS: Final = 32
_WAYS: Final = {"first": (faststream.AckPolicy.ACK_FIRST, WORKERS), "after": (faststream.AckPolicy.ACK, 1)}


def application(given: argparse.Namespace) -> faststream.FastStream:
    """Return the subscriber: submits each request by the SDK and publishes the job's id; ends after `count` of them."""
    pair = BasicCredentials("EXAMPLEACCESSKEY0001", "example-secret-key-for-benchmarks", "0a1b2c3d")
    sdk = v2.MrsClient.new_builder().with_credentials(pair).with_endpoint(given.backend).build()
    # NB: with its logger FastStream writes two lines for each message, which would be measured, too.
    broker = kafka.KafkaBroker(given.bootstrap, acks="all", logger=None)
    app = faststream.FastStream(broker, logger=None)
    policy, workers = _WAYS[given.ack]
    left = given.count

    def submit(message: dict[str, Any]) -> dict[str, Any]:
        data = message["data"]
        request = v2.CreateExecuteJobRequest(cluster_id=data["cluster"], body=v2.JobExecution(**data["job"]))
        answer = sdk.create_execute_job(request)
        return {"id": message["id"], "state": "submitted", "job_id": answer.job_submit_result.job_id}

    @broker.subscriber(
        given.requests,
        group_id="faststream",
        auto_offset_reset="earliest",
        ack_policy=policy,
        max_workers=workers,
    )
    async def handle(message: dict[str, Any]) -> None:
        nonlocal left
        event = await asyncio.to_thread(submit, message)
        await broker.publish(event, given.events)
        left -= 1
        if left == 0:
            app.exit()

    return app


async def run(given: argparse.Namespace) -> None:
    """Carry the requests through, with as many threads as workers."""
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        await application(given).run()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap", "requests", "events", "backend"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--ack", choices=sorted(_WAYS), default="first", help="when a message is acknowledged")
    logging.disable(logging.INFO)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
