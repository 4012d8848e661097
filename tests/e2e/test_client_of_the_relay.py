"""The client, and the examples, against real brokers, a real relay process and the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path

import pytest
from tests.support import brokers, child, service
from tests.support.waiting import LIMIT_S

from mrs_relay import client as relay_client
from mrs_relay.kafka import settings
from mrs_relay.messages import requests

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SQL = relay_client.sql(service.CLUSTER, "spark", "SELECT 1 AS one")


async def _follow_many(here: service.Deployment) -> None:
    topics = settings.Topics(requests=here.requests, events=here.events, dead_letters=here.dead_letters)
    kafka = settings.KafkaSettings(bootstrap_servers=here.bootstrap, topics=topics)
    async with relay_client.RelayClient(kafka) as client, relay_client.RelayClient(kafka) as later:
        async with asyncio.TaskGroup() as group:
            sent = [group.create_task(client.submit(SQL)) for _ in range(20)]

        for task in sent:
            data = await task.result().result(LIMIT_S)
            assert data.result is not None
            assert data.result.statements[0].rows == [{"one": 1}]
            sequences = [event.sequence async for event in task.result().events()]
            assert sequences == list(range(1, len(sequences) + 1))

        assert client.following == 0

        again = await later.attach(sent[0].result().id)
        assert (await again.result(LIMIT_S)).state == "succeeded"

        waits = relay_client.sql(service.CLUSTER, "spark", "SELECT 1", not_before="2099-01-01T00:00:00Z")
        cancelled = await client.submit(waits)
        await cancelled.accepted(LIMIT_S)
        await cancelled.cancel()
        with pytest.raises(relay_client.RequestCancelled):
            await cancelled.result(LIMIT_S)


async def _run_example(here: service.Deployment, name: str, *topics: str) -> None:
    log = here.workdir / f"{here.name}-{name}.log"
    command = [sys.executable, str(EXAMPLES / name), here.bootstrap, service.CLUSTER, *topics]
    process = child.Child(command, log=log, env=here.environment())
    assert await asyncio.to_thread(process.wait, LIMIT_S) == 0, log.read_text()
    assert "'one': 1" in log.read_text()


async def _everything(bootstrap: str, guarantee: str, tmp_path: Path) -> None:
    with service.emulator(tmp_path, "--run-s", "1") as mrs:
        here = service.Deployment(bootstrap, f"client-{time.time_ns()}", mrs.url, tmp_path, guarantee)
        await asyncio.to_thread(here.create_topics, 4)
        relay = here.start_relay("one")
        await _follow_many(here)
        await _run_example(here, "run_sql.py", here.name)
        await _run_example(here, "plain_aiokafka.py", here.requests, here.events)
        assert await asyncio.to_thread(relay.stop) == 0


async def test_requests_are_sent_followed_attached_and_cancelled_on_kafka(
    kafka: brokers.KafkaNode, tmp_path: Path
) -> None:
    """Exactly once: every handle of one client hears all events of its request, in order, and so do the examples."""
    await _everything(kafka.bootstrap, "exactly-once", tmp_path)


async def test_requests_are_sent_followed_attached_and_cancelled_on_the_embedded_broker(
    embedded: brokers.TansuNode, tmp_path: Path
) -> None:
    """At least once: the same on a broker without transactions."""
    await _everything(embedded.bootstrap, "at-least-once", tmp_path)


async def _submit_until_acknowledged(
    client: relay_client.RelayClient, work: requests.Work, request_id: str
) -> relay_client.Handle:
    """Do what the error says; a broker that has just started again may not know its topics for some seconds."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            with contextlib.suppress(relay_client.NotAcknowledged):
                return await client.submit(work, request_id=request_id)


async def test_handles_outlive_a_broker_that_dies_and_comes_back(tmp_path: Path) -> None:
    """Kafka is killed while requests run: nothing is raised to those who wait, and every event comes, in order."""
    workdir = tmp_path / "kafka"
    workdir.mkdir()

    with brokers.start_kafka(workdir, brokers.QUICK_JVM) as node, service.emulator(tmp_path, "--run-s", "4") as mrs:
        here = service.Deployment(node.bootstrap, f"client-{time.time_ns()}", mrs.url, tmp_path)
        await asyncio.to_thread(here.create_topics, 4)
        relay = here.start_relay("one")
        topics = settings.Topics(requests=here.requests, events=here.events, dead_letters=here.dead_letters)

        kafka = settings.KafkaSettings(bootstrap_servers=here.bootstrap, topics=topics, commit_timeout_s=9.0)
        async with relay_client.RelayClient(kafka) as client:
            work = relay_client.job(service.CLUSTER, "SparkSubmit", arguments=["obs://b/x.py"])
            handles = [await client.submit(work) for _ in range(5)]
            await handles[0].accepted(LIMIT_S)
            await asyncio.to_thread(node.kill)
            with pytest.raises(relay_client.NotAcknowledged) as lost:
                await client.submit(work)
            await asyncio.to_thread(node.start)
            handles.append(await _submit_until_acknowledged(client, work, lost.value.request_id))
            for handle in handles:
                assert (await handle.result(LIMIT_S)).state == "succeeded"
                sequences = [event.sequence async for event in handle.events()]
                assert sequences == list(range(1, len(sequences) + 1))

        assert len(mrs.effects()) == len(handles)
        assert await asyncio.to_thread(relay.stop) == 0
