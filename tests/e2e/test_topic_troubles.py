"""Topics of a real Kafka that lose, refuse or forget something: `mrs-relay check` names it, and a relay is careful."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from tests.support import brokers as nodes
from tests.support import child, ports, runtime_process, waiting

from mrs_relay.common import clock
from mrs_relay.kafka import partition_worker, records, runtime, settings, status, topic_io
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import topic_setup

pytestmark = pytest.mark.kafka

_LEADERLESS_S = 20.0  # twice the patience with a consumer that hears nothing, with the settings below


def _settings(bootstrap: str, **changes: object) -> settings.KafkaSettings:
    chosen = runtime_process.worker_settings(bootstrap, f"topic-{uuid.uuid4().hex[:8]}", "exactly-once")
    quick = {"rebalance_timeout_ms": 6_000, "join_request_timeout_ms": 7_000, "mirror_interval_s": 0.5}
    return chosen.model_copy(update=quick | changes)


@contextlib.asynccontextmanager
async def _administering(kafka: settings.KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def _running(kafka: settings.KafkaSettings) -> AsyncIterator[runtime.Runtime[None]]:
    work = runtime.Runtime(kafka, client.KafkaBroker(kafka), runtime_process.number, clock.SystemClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work.run())
        try:
            yield work
        finally:
            work.stop()
            await asyncio.wait([task])


async def _send(kafka: settings.KafkaSettings, partition: int, count: int) -> None:
    sender = client.KafkaBroker(kafka).producer(None, idempotent=True)
    await sender.start()
    try:
        await sender.write([records.Outgoing(kafka.topics.requests, b"k", b"v", (), partition)] * count)
    finally:
        await sender.kill()


async def _events(kafka: settings.KafkaSettings) -> list[tuple[int, bytes]]:
    broker = client.KafkaBroker(kafka)
    return [(one.partition, one.value or b"") async for one in topic_io.read_all(broker, kafka.topics.events)]


async def _until(work: runtime.Runtime[None], sure: Callable[[status.Status], bool]) -> status.Status:
    found = [work.status()]

    def fulfilled() -> bool:
        found[0] = work.status()
        return sure(found[0])

    await waiting.until(fulfilled, work.status)
    return found[0]


def _check(kafka: settings.KafkaSettings) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code and findings by code of `mrs-relay check`; no MRS is there."""
    nowhere = f"http://127.0.0.1:{ports.free_port()}"
    given = {
        "KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA__APP_ID": kafka.app_id,
        "KAFKA__GROUP_ID": kafka.group_id,
        "KAFKA__TOPICS__REQUESTS": kafka.topics.requests,
        "KAFKA__TOPICS__EVENTS": kafka.topics.events,
        "KAFKA__TOPICS__DEAD_LETTERS": kafka.topics.dead_letters,
        "MRS__ENDPOINT": nowhere,
        "MRS__PROJECT_ID": "p",
        "MRS__ACCESS_KEY": "a",
        "MRS__SECRET_KEY": "s",
    }

    environment = os.environ | {f"MRS_RELAY_{name}": value for name, value in given.items()}
    command = [sys.executable, "-m", "mrs_relay", "check", "--json"]
    done = child.run(command, env=environment, timeout_s=waiting.LIMIT_S)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done
    return done.returncode, {one["code"] or one["what"]: one for one in lines}


async def test_misconfigured_topics_are_all_named_at_once(kafka: nodes.KafkaNode) -> None:
    """One run of the check names everything, with commands that Kafka's own tools take."""
    chosen = _settings(kafka.bootstrap)
    wanted = {
        chosen.topics.requests: {"cleanup.policy": "compact", "retention.ms": "60000"},
        chosen.topics.ledger: {"cleanup.policy": "compact,delete"},
        chosen.topics.events: {"min.insync.replicas": "2"},
        chosen.topics.dead_letters: {"max.message.bytes": "1000"},
    }

    async with _administering(chosen) as admin:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=configs) for name, configs in wanted.items()])
    code, found = await asyncio.to_thread(_check, chosen)
    errors = {"requests_compacted", "ledger_forgets", "min_isr_unreachable", "limit_below_batch"}

    assert {name for name, one in found.items() if one["verdict"] == "problem"} - {"mrs"} == errors
    assert {"dead_letter_limit", "ledger_limit"} <= found.keys()
    assert code != 0

    remedies = [found[name]["remedy"].split("`")[1].split() for name in errors]
    assert {words[0] for words in remedies} == {"kafka-configs.sh"}

    await asyncio.to_thread(kafka.tools, [["kafka.admin.ConfigCommand", *words[3:]] for words in remedies])
    _, mended = await asyncio.to_thread(_check, chosen)
    assert not errors & mended.keys()
    assert {"requests_short_retention"} <= mended.keys()


async def test_recreated_requests_are_named_and_never_read_in_silence(kafka: nodes.KafkaNode) -> None:
    """Deleted and created again while nobody ran: the check tells, a start refuses, acceptance reads all of it once."""
    chosen = _settings(kafka.bootstrap, partitions=1)
    async with client.KafkaBroker(chosen).admin() as admin:
        await topic_setup.create(admin, chosen)

    async with _running(chosen) as work:
        await _send(chosen, 0, 10)
        await _until(work, lambda found: [one.next_offset for one in found.partitions] == [10])

    _, before = await asyncio.to_thread(_check, chosen)
    async with _administering(chosen) as library:
        await library.delete_topics([chosen.topics.requests])
        async with client.KafkaBroker(chosen).admin() as admin:
            while not await topic_setup.create(admin, chosen):
                await asyncio.sleep(0.2)

    await _send(chosen, 0, 25)  # the old offset means something there: ten messages would be skipped
    code, after = await asyncio.to_thread(_check, chosen)
    async with _running(chosen) as work:
        refused = await _until(work, lambda found: bool(found.partitions) and found.partitions[0].error is not None)
    async with _running(chosen.model_copy(update={"accept_loss": True})) as work:
        await _until(work, lambda found: [one.next_offset for one in found.partitions] == [25])
    async with _running(chosen) as work:
        await _until(work, lambda found: found.ready and [one.next_offset for one in found.partitions] == [25])
    _, last = await asyncio.to_thread(_check, chosen)

    assert "requests_recreated" not in before.keys() | last.keys()
    assert (code != 0, after["requests_recreated"]["verdict"]) == (True, "problem")
    assert refused.partitions[0].state is partition_worker.State.UNREADABLE
    assert "was deleted and created again" in (refused.partitions[0].error or "")
    assert len(await _events(chosen)) == 10 + 25


async def test_partitions_that_lose_their_leader_park_alone(tmp_path: Path) -> None:
    """One broker of three is gone with the only copies of a requests and a ledger partition: the third works on."""
    with nodes.start_cluster(tmp_path) as cluster:
        chosen = _settings(cluster.bootstrap)
        places = {  # topic -> the brokers of each partition
            chosen.topics.requests: [[1], [2], [3]],
            chosen.topics.ledger: [[3], [1], [2]],
            chosen.topics.events: [[1, 2, 3]] * 3,
            chosen.topics.dead_letters: [[1, 2, 3]],
        }

        async with _administering(chosen) as admin:
            made = [_placed(name, brokers, compact=name == chosen.topics.ledger) for name, brokers in places.items()]
            await admin.create_topics(made)

        async with _running(chosen) as work:
            await _until(work, lambda found: found.ready)
            for partition in range(3):
                await _send(chosen, partition, 10)
            await _until(work, lambda found: [one.next_offset for one in found.partitions] == [10] * 3)
            await asyncio.to_thread(cluster.nodes[2].kill)
            for partition in range(2):
                await _send(chosen, partition, 10)
            await _until(work, lambda found: _states(found) == ["leaderless", "running", "leaderless"])
            await asyncio.sleep(_LEADERLESS_S)
            during = await _until(work, lambda found: _states(found)[1] == "running")
            code, found = await asyncio.to_thread(_check, chosen)
            await asyncio.to_thread(cluster.nodes[2].start)
            await _send(chosen, 2, 10)
            await _until(work, lambda found: found.ready and _states(found) == ["running"] * 3)
            await _until(work, lambda found: [one.next_offset for one in found.partitions] == [20] * 3)

        reported = await _events(chosen)

    assert (during.ready, [one.next_offset for one in during.partitions][1]) == (True, 20)
    assert f"{chosen.topics.ledger}-0" in (during.partitions[0].error or "")
    assert f"{chosen.topics.requests}-2" in (during.partitions[2].error or "")
    assert (code != 0, found["no_leader"]["verdict"]) == (True, "problem")
    assert f"{chosen.topics.requests}-2, {chosen.topics.ledger}-0" in found["no_leader"]["text"]
    assert "too_few_replicas" in found
    assert sorted(reported) == sorted((partition, b"%d %d" % (n, n + 1)) for partition in range(3) for n in range(20))


def _placed(name: str, brokers: list[list[int]], *, compact: bool) -> NewTopic:
    policy = {"cleanup.policy": "compact"} if compact else {}
    safe = {"min.insync.replicas": str(min(2, len(brokers[0])))}
    return NewTopic(name, -1, -1, replica_assignments=dict(enumerate(brokers)), topic_configs=policy | safe)


def _states(found: status.Status) -> list[str]:
    return [one.state.value for one in found.partitions]
