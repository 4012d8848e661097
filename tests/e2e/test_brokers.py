"""The brokers that other tests stand on: they carry records, come back after a kill, and never outlive the tests."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from tests.support import brokers


async def _new_topic(bootstrap: str) -> str:
    topic = f"topic-{uuid.uuid4().hex[:8]}"
    async with asyncio.timeout(60):
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
        finally:
            await admin.close()
    return topic


async def _send(bootstrap: str, topic: str, *values: bytes, transactional: bool) -> None:
    options = {"transactional_id": topic} if transactional else {"enable_idempotence": False}
    async with asyncio.timeout(60), AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **options) as producer:
        if transactional:
            await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)
        if transactional:
            await producer.commit_transaction()


async def _read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    options = {"bootstrap_servers": bootstrap, "auto_offset_reset": "earliest", "isolation_level": "read_committed"}
    async with asyncio.timeout(60), AIOKafkaConsumer(topic, **options) as consumer:
        return [(await consumer.getone()).value for _ in range(count)]


async def test_kafka_carries_a_transaction_to_a_committed_reader(kafka: brokers.KafkaNode) -> None:
    """What a transactional producer commits, a read_committed consumer reads."""
    topic = await _new_topic(kafka.bootstrap)
    await _send(kafka.bootstrap, topic, b"one", b"two", transactional=True)
    assert await _read(kafka.bootstrap, topic, 2) == [b"one", b"two"]


async def test_embedded_broker_carries_records(embedded: brokers.TansuNode) -> None:
    """What a plain producer sends, a consumer reads."""
    topic = await _new_topic(embedded.bootstrap)
    await _send(embedded.bootstrap, topic, b"one", b"two", transactional=False)
    assert await _read(embedded.bootstrap, topic, 2) == [b"one", b"two"]


@pytest.mark.kafka
async def test_kafka_killed_comes_back_with_its_data_on_its_port(tmp_path: Path) -> None:
    """A node killed by SIGKILL and one stopped politely keep address and records."""
    with brokers.start_kafka(tmp_path, brokers.QUICK_JVM) as node:
        bootstrap, pids = node.bootstrap, [node.pid]
        topic = await _new_topic(bootstrap)
        await _send(bootstrap, topic, b"before", transactional=True)
        await asyncio.to_thread(node.kill)
        pids.append(node.pid)
        await asyncio.to_thread(node.start)
        pids.append(node.pid)
        assert [pid is None for pid in pids] == [False, True, False]
        assert node.bootstrap == bootstrap
        await _send(bootstrap, topic, b"after", transactional=True)
        await asyncio.to_thread(node.restart)
        assert await _read(bootstrap, topic, 2) == [b"before", b"after"]


@pytest.mark.embedded
async def test_broker_started_from_a_worker_thread_outlives_that_thread(tmp_path: Path) -> None:
    """Linux sends the parent-death signal at the end of the starting thread; children are started by one that stays."""
    node = brokers.TansuNode(tmp_path)
    worker = asyncio.Runner()
    try:
        await asyncio.to_thread(worker.run, asyncio.to_thread(node.start))
        await asyncio.to_thread(worker.close)  # ends the runner's pool of threads
        assert await _new_topic(node.bootstrap)
        assert node.pid is not None
    finally:
        node.close()


@pytest.mark.embedded
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its killed parent")
def test_broker_ends_when_its_test_run_is_killed(tmp_path: Path) -> None:
    """A broker does not outlive the process that started it, even when that gets no chance to clean up."""
    script = textwrap.dedent(f"""
        import pathlib, time
        from tests.support import brokers
        with brokers.start_tansu(pathlib.Path({str(tmp_path)!r})) as node:
            print(node.pid, flush=True)
            time.sleep(60)
        """)

    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        broker_pid = int(runner.stdout.readline())
        os.kill(broker_pid, 0)
        runner.send_signal(signal.SIGKILL)

    deadline = time.monotonic() + 60
    while Path(f"/proc/{broker_pid}/cmdline").exists() and Path(f"/proc/{broker_pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the broker still runs"
        time.sleep(0.02)
