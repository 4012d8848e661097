"""
Measures the relay against the bare loop: same Kafka, same backend, same requests, in one run, round by round.

For each round both programs get their own topics, filled with the same requests before they start. The rate is taken
from the timestamps of the events that they wrote, the first tenth left out, so that start-up does not count.

    PYTHONPATH=. python bench/relay.py [--count 20000] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import aiokafka
from aiokafka import admin
from tests.support import brokers, ports

HERE = pathlib.Path(__file__).parent
PARTITIONS = 4
CLUSTER = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"


def request(number: int) -> bytes:
    """A request of about 600 bytes, as a service would send it."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"bench-{number:08d}-6b2f1c34",
            "source": "/bench/loader",
            "type": "mrs.job.submit",
            "time": "2026-11-24T07:30:00Z",
            "data": {
                "cluster": CLUSTER,
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


@contextlib.contextmanager
def backend() -> Iterator[str]:
    """The instant backend as a process; yields its address."""
    port = ports.free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "instant_backend.py"), "--port", str(port)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


async def prepare(bootstrap: str, prefix: str, count: int) -> None:
    """Make the topics of one round and fill the requests."""
    client = admin.AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    plain = [admin.NewTopic(f"{prefix}.{name}", PARTITIONS, 1) for name in ("requests", "events", "dead-letters")]
    ledger = admin.NewTopic(f"{prefix}.requests.ledger", PARTITIONS, 1, topic_configs={"cleanup.policy": "compact"})
    await client.create_topics([*plain, ledger])
    await client.close()
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1, linger_ms=20, max_batch_size=200_000)
    await producer.start()
    for number in range(count):
        await producer.send(f"{prefix}.requests", request(number), key=b"key-%d" % (number % 64))
    await producer.stop()


async def event_times_s(bootstrap: str, topic: str, count: int, state: bytes) -> list[float]:
    """Wait for `count` events that contain `state`; their timestamps in seconds, sorted."""
    consumer = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    times: list[float] = []
    try:
        while len(times) < count:
            batches = await consumer.getmany(timeout_ms=500, max_records=5000)
            for records in batches.values():
                times += [record.timestamp / 1000 for record in records if state in record.value]
    finally:
        await consumer.stop()
    return sorted(times)


def rate(times_s: list[float]) -> float:
    """Events a second, the first tenth left out."""
    steady = times_s[len(times_s) // 10 :]
    return (len(steady) - 1) / (steady[-1] - steady[0])


def wait_for_events(bootstrap: str, topic: str, count: int, state: bytes, process: subprocess.Popen[bytes]) -> float:
    """Poll the end of the events topic now and then, so that measuring costs the measured program nothing much."""

    async def enough() -> int:
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        try:
            parts = [aiokafka.TopicPartition(topic, number) for number in range(PARTITIONS)]
            return sum((await consumer.end_offsets(parts)).values())
        finally:
            await consumer.stop()

    async def patiently() -> list[float]:
        wanted = count if state == b"submitted" and "bare" in topic else 2 * count
        while await enough() < wanted:
            if process.poll() is not None:
                raise RuntimeError(f"the program ended early with exit code {process.returncode}")
            await asyncio.sleep(2)
        return await event_times_s(bootstrap, topic, count, state)

    return rate(asyncio.run(asyncio.wait_for(patiently(), 300)))


def bare_loop(bootstrap: str, prefix: str, address: str, count: int, *, uvloop: bool) -> float:
    """Requests a second of the bare loop."""
    command = [sys.executable, str(HERE / "bare_loop.py"), "--bootstrap", bootstrap, "--backend", address]
    command += ["--requests", f"{prefix}.requests", "--events", f"{prefix}.events", "--count", str(count)]
    process = subprocess.Popen([*command, *(["--uvloop"] if uvloop else [])])
    try:
        process.wait(300)
    finally:
        process.kill()
        process.wait()
    return rate(asyncio.run(event_times_s(bootstrap, f"{prefix}.events", count, b'"submitted"')))


def relay(bootstrap: str, prefix: str, address: str, count: int, profile: str | None) -> float:
    """Requests a second of the relay, through to `submitted`."""
    settings = {
        "KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "KAFKA__GUARANTEE": "exactly-once",
        "KAFKA__APP_ID": prefix,
        "KAFKA__GROUP_ID": prefix,
        "KAFKA__TOPICS__REQUESTS": f"{prefix}.requests",
        "KAFKA__TOPICS__EVENTS": f"{prefix}.events",
        "KAFKA__TOPICS__DEAD_LETTERS": f"{prefix}.dead-letters",
        "MRS__ENDPOINT": address,
        "MRS__PROJECT_ID": "0a1b2c3d",
        "MRS__ACCESS_KEY": "BENCH",
        "MRS__SECRET_KEY": "bench",
        "MRS__BUDGETS": "false",
        "ENGINE__SLOTS_PER_CLUSTER": "0",
        "ENGINE__POLL_INTERVAL_S": "3600",  # the rate to `submitted` is measured, not the polling
        "WEB__ENABLED": "false",
        "LOG__LEVEL": "WARNING",
    }
    environment = {**os.environ, **{f"MRS_RELAY_{name}": value for name, value in settings.items()}}
    command = [sys.executable, *(["-m", "cProfile", "-o", profile] if profile else []), "-m", "mrs_relay", "serve"]
    process = subprocess.Popen(command, env=environment)
    try:
        return wait_for_events(bootstrap, f"{prefix}.events", count, b'"submitted"', process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def measure(count: int, rounds: int, profile: str | None = None) -> dict[str, object]:
    """All rounds; medians and the ratio of each round."""
    pairs: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder, brokers.start_kafka(pathlib.Path(folder)) as kafka, backend() as mrs:
        for number in range(rounds):
            rates = []
            for name in ("bare", "bareuv", "relay"):
                prefix = f"{name}{number}"
                asyncio.run(prepare(kafka.bootstrap, prefix, count))
                if name == "relay":
                    rates.append(relay(kafka.bootstrap, prefix, mrs, count, profile))
                else:
                    rates.append(bare_loop(kafka.bootstrap, prefix, mrs, count, uvloop=name == "bareuv"))
            pairs.append((rates[0], rates[1], rates[2]))
            print(
                f"round {number + 1}: bare {rates[0]:.0f}/s, on uvloop {rates[1]:.0f}/s, relay {rates[2]:.0f}/s",
                file=sys.stderr,
            )
    return {
        "requests": count,
        "rounds": rounds,
        "bare_loop_per_s": round(statistics.median(pair[0] for pair in pairs)),
        "bare_loop_uvloop_per_s": round(statistics.median(pair[1] for pair in pairs)),
        "relay_per_s": round(statistics.median(pair[2] for pair in pairs)),
        "ratio": round(statistics.median(pair[2] / pair[0] for pair in pairs), 3),
        "ratio_to_uvloop": round(statistics.median(pair[2] / pair[1] for pair in pairs), 3),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", help="file for a cProfile of the relay")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures = measure(given.count, given.rounds, given.profile)
    if given.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
