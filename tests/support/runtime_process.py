"""
A process that works on one topic through the Kafka part: numbers the records of each partition, one event a record.

Run as `python tests/support/runtime_process.py BOOTSTRAP NAME GUARANTEE SESSION_MS`; SIGTERM ends it in order. The
events of input partition n stand in partition n of the events topic: `offset count`, so a reader sees gaps, repeats
and disorder.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from mrs_relay.common import clock, logs
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import records, runtime, settings
from mrs_relay.kafka.adapter import client


def worker_settings(bootstrap: str, name: str, guarantee: str, session_ms: int = 6_000) -> settings.KafkaSettings:
    """Return settings that notice a dead member soon."""
    return settings.KafkaSettings.model_validate(
        {
            "bootstrap_servers": bootstrap,
            "topics": {"requests": name, "events": f"{name}.ev", "dead_letters": f"{name}.dl"},
            "app_id": name,
            "group_id": name,
            "guarantee": guarantee,
            "session_timeout_ms": session_ms,
            "heartbeat_interval_ms": 1_000,
            "retry_most_s": 2.0,
        }
    )


async def number(lease: leases.Lease[None]) -> None:
    """Number the records of a partition."""
    count = int(lease.restored.get(b"n", b"0"))
    while True:
        try:
            batch = await lease.inbox.take(50)
        except inboxes.Closed:
            return
        if not batch.records and not batch.notices:
            continue

        out = []
        for record in batch.records:
            count += 1
            out.append(
                records.Outgoing(
                    f"{lease.topic}.ev", record.key, b"%d %d" % (record.offset, count), (), lease.partition
                )
            )

        await lease.commit([records.Change(b"n", b"%d" % count)], out, lease.inbox.next_offset)
        await asyncio.sleep(0.02)


async def main(bootstrap: str, name: str, guarantee: str, session_ms: str) -> None:
    """Work until SIGTERM."""
    logs.setup(style="json")
    kafka = worker_settings(bootstrap, name, guarantee, int(session_ms))
    work = runtime.Runtime(kafka, client.KafkaBroker(kafka), number, clock.SystemClock())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.stop)
    await work.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
