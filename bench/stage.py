"""What the benchmarks on a real Kafka share: requests, topics, the backend, and the measured programs as processes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import aiokafka
from aiokafka import admin
from tests.support import ports

HERE: Final = pathlib.Path(__file__).parent
PROJECT: Final = "0a1b2c3d"
CLUSTER: Final = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"
PARTITIONS: Final = 4


def quiet() -> None:
    """Leave out what aiokafka says of fresh topics whose leaders are still being chosen: it tries again."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def request(number: int, cluster: str = CLUSTER) -> bytes:
    """Return a request of about 600 bytes, as a service would send it."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"bench-{number:08d}-6b2f1c34",
            "source": "/bench/loader",
            "type": "mrs.job.submit",
            "time": "2026-11-24T07:30:00Z",
            "data": {
                "cluster": cluster,
                "job": {
                    "job_type": "SparkSubmit",
                    "job_name": f"aggregate-{number}",
                    "arguments": [
                        *("--master", "yarn", "--deploy-mode", "cluster", "--class", "com.example.Aggregate"),
                        *("--conf", "spark.executor.memory=4g", "obs://demo-bucket/jars/aggregate.jar"),
                        *("obs://demo-bucket/input/2026-11-22/", f"obs://demo-bucket/output/run-{number}"),
                    ],
                    "properties": {"fs.obs.endpoint": "obs.cn-north-4.myhuaweicloud.com"},
                },
                "labels": {"team": "reporting"},
            },
        }
    ).encode()


def show(figures: dict[str, object], *, as_json: bool) -> None:
    """Print figures, one a line, or all as one line of JSON."""
    if as_json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


@contextlib.contextmanager
def backend() -> Iterator[str]:
    """Run the instant backend as a process; yields its address."""
    port = ports.free_port()
    with _listening("instant_backend.py", "--port", str(port)):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def link(target: int, mbit_per_s: float) -> Iterator[int]:
    """Run a link to a port of this machine, as a process; yields the port of its near end."""
    port = ports.free_port()
    with _listening("link.py", "--port", str(port), "--target", str(target), "--mbit-per-s", str(mbit_per_s)):
        yield port


@contextlib.contextmanager
def _listening(script: str, *flags: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, str(HERE / script), *flags], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        yield
    finally:
        process.terminate()
        process.communicate(timeout=10)


async def make_topics(bootstrap: str, prefix: str, partitions: int = PARTITIONS) -> None:
    """Make the topics of one measured program."""
    client = admin.AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    copies = len(bootstrap.split(","))  # 1 on one broker, 3 on three
    plain = [admin.NewTopic(f"{prefix}.{name}", partitions, copies) for name in ("requests", "events", "dead-letters")]
    compacted = {"cleanup.policy": "compact"}
    ledger = admin.NewTopic(f"{prefix}.requests.ledger", partitions, copies, topic_configs=compacted)
    status = admin.NewTopic(f"{prefix}.status", 1, copies, topic_configs=compacted)
    await client.create_topics([*plain, ledger, status])
    await client.close()


async def fill(bootstrap: str, prefix: str, count: int) -> None:
    """Write `count` requests."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1, linger_ms=20, max_batch_size=200_000)
    await producer.start()
    for number in range(count):
        await producer.send(f"{prefix}.requests", request(number), key=b"key-%d" % (number % 64))
    await producer.stop()


def loop_command(script: str, bootstrap: str, prefix: str, address: str, count: int) -> list[str]:
    """Return the command line of a program that we are measured against."""
    command = [sys.executable, str(HERE / script), "--bootstrap", bootstrap, "--backend", address]
    return [*command, "--requests", f"{prefix}.requests", "--events", f"{prefix}.events", "--count", str(count)]


@contextlib.contextmanager
def process_of(command: list[str], env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the length of the context: asked to end, and killed if it does not."""
    process = subprocess.Popen(command, env=env)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def relay(
    bootstrap: str,
    prefix: str,
    address: str,
    *,
    web_port: int = 0,
    more: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "mrs_relay"),
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """Run one replica as a process; `web_port` 0 leaves its HTTP server out, `more` are further settings."""
    settings = {
        "KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "KAFKA__GUARANTEE": "exactly-once",
        "KAFKA__APP_ID": prefix,
        "KAFKA__GROUP_ID": prefix,
        "KAFKA__TOPICS__REQUESTS": f"{prefix}.requests",
        "KAFKA__TOPICS__EVENTS": f"{prefix}.events",
        "KAFKA__TOPICS__DEAD_LETTERS": f"{prefix}.dead-letters",
        "KAFKA__TOPICS__STATUS": f"{prefix}.status",
        "MRS__ENDPOINT": address,
        "MRS__PROJECT_ID": PROJECT,
        "MRS__ACCESS_KEY": "BENCH",
        "MRS__SECRET_KEY": "bench",
        "MRS__BUDGETS": "false",
        "ENGINE__SLOTS_PER_CLUSTER": "0",
        "ENGINE__POLL_INTERVAL_S": "3600",  # the way to `submitted` is measured, not the polling
        "WEB__ENABLED": "true" if web_port else "false",
        "WEB__PORT": str(web_port),
        "LOG__LEVEL": "ERROR",
        **(more or {}),
    }

    environment = {**os.environ, **{f"MRS_RELAY_{name}": value for name, value in settings.items()}}
    command = [sys.executable, *program, "serve"]
    return process_of(command, environment)


async def count_of(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> int:
    """Return records in a topic, transaction markers included, by its end offsets."""
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        parts = [aiokafka.TopicPartition(topic, number) for number in range(partitions)]
        return sum((await consumer.end_offsets(parts)).values())
    finally:
        await consumer.stop()


@dataclass(frozen=True, slots=True)
class EventTimes:
    """When each request had its first event and when it was submitted, in seconds, sorted."""

    begun_s: list[float]
    submitted_s: list[float]


async def event_times(bootstrap: str, topic: str, count: int) -> EventTimes:
    """Wait until `count` requests are submitted, and take the times from the timestamps of their events."""
    consumer = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    accepted: list[float] = []
    submitted: list[float] = []

    try:
        while len(submitted) < count:
            batches = await consumer.getmany(timeout_ms=500, max_records=5000)
            for record in itertools.chain.from_iterable(batches.values()):
                # The programs that the relay is compared with write one event for each request.
                for state, times in ((b'"accepted"', accepted), (b'"submitted"', submitted)):
                    if state in record.value:
                        times.append(record.timestamp / 1000)
    finally:
        await consumer.stop()

    return EventTimes(sorted(accepted or submitted), sorted(submitted))


def rate(times: EventTimes) -> float:
    """
    Return the requests submitted in a second, from the moment on at which a tenth of them has its first event.

    So the start of the program does not count. What is done for the other nine tenths does, also what is done ahead:
    a program that accepts many requests before it submits the first one gains nothing by that.
    """
    start_s = times.begun_s[len(times.begun_s) // 10]
    done = [time_s for time_s in times.submitted_s if time_s > start_s]
    return len(done) / (done[-1] - start_s)


async def until(bootstrap: str, topic: str, least: int, *, partitions: int = PARTITIONS, timeout_s: float) -> None:
    """
    Wait until a topic holds `least` records; looks now and then, so that measuring costs the measured nothing much.

    Raises:
        TimeoutError: it does not within `timeout_s` seconds.
    """
    deadline_s = time.monotonic() + timeout_s
    while (there := await count_of(bootstrap, topic, partitions)) < least:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{topic} holds {there} records instead of {least} after {timeout_s:g} s")
        await asyncio.sleep(1.0)
