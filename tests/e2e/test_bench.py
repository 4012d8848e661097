"""The measured programs of the benchmarks, small, on real Kafka: what they do must be what is compared."""

from __future__ import annotations

import asyncio
import subprocess
import uuid

import pytest
from bench import recovery, stage
from tests.support import brokers


@pytest.mark.parametrize("ack", ["first", "after"])
def test_faststream_carries_every_request_to_the_backend_and_back(kafka: brokers.KafkaNode, ack: str) -> None:
    """The rival does the whole job: one submission and one event for each request, then it ends."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    asyncio.run(stage.make_topics(kafka.bootstrap, prefix))
    asyncio.run(stage.fill(kafka.bootstrap, prefix, 40))
    with stage.backend() as address:
        command = stage.loop_command("faststream_loop.py", kafka.bootstrap, prefix, address, 40)
        subprocess.run([*command, "--ack", ack], check=True, timeout=120)
    events = stage.event_times(kafka.bootstrap, f"{prefix}.events", 40)
    assert len(asyncio.run(asyncio.wait_for(events, 120)).submitted_s) == 40


async def test_a_recovery_brings_back_every_job(kafka: brokers.KafkaNode) -> None:
    """What is timed is a whole restore: each job of the ledger is decoded and followed again, history or not."""
    for compacted in (False, True):
        place = recovery.Place(kafka.bootstrap, f"bench-{uuid.uuid4().hex[:8]}", 60, compacted=compacted)
        assert len(await recovery.rounds_of(place, 1)) == 1
