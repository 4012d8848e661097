"""The promise on real Kafka with real processes: one request, one job, every event in order, whatever is killed."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import brokers, history, service, waiting

PARTITIONS = 4
_SHUTDOWN_S = 10  # as the deployments of the tests have it
_LOADED_S = 20  # what a loaded machine may take longer


@pytest.fixture
def mrs(tmp_path: Path) -> Iterator[service.Emulator]:
    """An MRS with many slots and jobs of a second."""
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "1") as playing:
        yield playing


def deployment(kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path, name: str) -> service.Deployment:
    more = {"ENGINE__SLOTS_PER_CLUSTER": "0", "ENGINE__MAX_IN_FLIGHT": "4"}
    return service.Deployment(kafka.bootstrap, f"{name}-{time.time_ns()}", mrs.url, tmp_path, more=more)


async def test_two_relays_one_killed_in_the_middle_lose_and_double_nothing(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """200 requests, one of two relays killed and replaced: one job each, events complete, in order, without repeat."""
    here = deployment(kafka, mrs, tmp_path, "killed")
    await asyncio.to_thread(here.create_topics, PARTITIONS)
    ids = [f"r-{number}" for number in range(200)]
    first, second = here.start_relay("first"), here.start_relay("second")
    mrs.fault(action="latency", operation="CreateExecuteJob", seconds=0.15, count=None)
    sending = asyncio.create_task(here.send([(b"key-%d" % (n % 32), service.job(one)) for n, one in enumerate(ids)]))
    await waiting.until(lambda: len(mrs.effects()) >= 60)
    first.kill()
    third = here.start_relay("third")
    await sending
    events = await here.until_ended(ids)
    codes = [await asyncio.to_thread(relay.stop) for relay in (second, third)]
    created = [effect["name"] for effect in mrs.effects()]

    assert history.faults(ids, events, created) == []
    assert len(created) == len(ids)
    assert {event.state for event in events if event.state in history.LAST} == {"succeeded"}
    assert codes == [0, 0]


async def test_a_lost_reply_ends_in_the_one_job_that_it_started(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """Replies dropped after the effect: the job is found by its mark and adopted, not submitted again."""
    here = deployment(kafka, mrs, tmp_path, "dropped")
    await asyncio.to_thread(here.create_topics, 1)
    ids = [f"r-{number}" for number in range(6)]
    mrs.fault(action="drop_after", operation="CreateExecuteJob", nth=2, count=3)
    relay = here.start_relay("only")
    await here.send([(b"k", service.job(one)) for one in ids])
    events = await here.until_ended(ids)
    assert await asyncio.to_thread(relay.stop) == 0
    assert history.faults(ids, events, [effect["name"] for effect in mrs.effects()]) == []


async def test_a_reply_lost_before_the_effect_ends_in_one_job(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """Connections dropped before the effect look the same to us: after the look-up the job is submitted again, once."""
    here = deployment(kafka, mrs, tmp_path, "before")
    await asyncio.to_thread(here.create_topics, 1)
    ids = [f"r-{number}" for number in range(4)]
    mrs.fault(action="drop_before", operation="CreateExecuteJob", nth=1, count=2)
    relay = here.start_relay("only")
    await here.send([(b"k", service.job(one)) for one in ids])
    events = await here.until_ended(ids)
    assert await asyncio.to_thread(relay.stop) == 0
    assert history.faults(ids, events, [effect["name"] for effect in mrs.effects()]) == []


async def test_bad_messages_leave_their_neighbours_alone(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """Each bad message ends in an event or a dead letter with its bytes; the good ones around them succeed."""
    here = deployment(kafka, mrs, tmp_path, "bad")
    await asyncio.to_thread(here.create_topics, 1)
    unreadable = [b"\xff\xfe", b"{", b"[1]", b'{"type":"mrs.job.submit"}', b'{"id":"a\\u0000b"}', b"[" * 5000, b""]

    rejected = {
        "no-type": b'{"id":"no-type","source":"/test"}',
        "no-data": b'{"id":"no-data","source":"/test","type":"mrs.job.submit"}',
        "ill-typed": b'{"id":"ill-typed","source":"/test","type":"mrs.sql.submit","data":{"cluster":7}}',
        "too-large": service.job("too-large", labels={"x": "y" * 600_000}),
    }

    unknown_cluster = service.job("no-cluster").replace(service.CLUSTER.encode(), b"nowhere")
    good = [f"good-{number}" for number in range(10)]
    messages: list[tuple[bytes | None, bytes | None]] = [(b"k", service.job(one)) for one in good[:5]]
    messages += [(b"k", value) for value in [*unreadable, *rejected.values(), unknown_cluster]]
    messages += [(b"tombstone", None)]
    messages += [(b"k", service.job(one)) for one in good[5:]]
    relay = here.start_relay("only")
    await here.send(messages)
    expected = [*good, *rejected, "no-cluster"]
    events = await here.until_ended(expected)
    letters = await here.records(here.dead_letters)

    assert await asyncio.to_thread(relay.stop) == 0
    assert history.faults(expected, events, [effect["name"] for effect in mrs.effects()]) == []

    last = {event.request_id: event for event in events if event.state in history.LAST}
    assert {one: last[one].state for one in rejected} == dict.fromkeys(rejected, "rejected")
    assert last["no-cluster"].state == "failed"
    assert last["no-cluster"].data["reason"]["code"] == "12000003"
    assert {last[one].state for one in good} == {"succeeded"}
    assert sorted(letter.value for letter in letters if letter.key == b"k") == sorted(unreadable)

    reasons = {dict(letter.headers)["mrs_relay_reason"] for letter in letters}
    assert reasons == {b"no_value", b"unreadable_json", b"not_an_object", b"bad_id"}


async def test_a_full_cluster_makes_jobs_wait_and_none_fail(kafka: brokers.KafkaNode, tmp_path: Path) -> None:
    """Three slots on MRS, ten in our settings: 0177 sends jobs back to the line and every one is carried out once."""
    with service.emulator(tmp_path, "--slots", "3", "--run-s", "0.5") as mrs:
        here = service.Deployment(kafka.bootstrap, f"full-{time.time_ns()}", mrs.url, tmp_path)
        await asyncio.to_thread(here.create_topics, 2)
        ids = [f"r-{number}" for number in range(12)]
        relay = here.start_relay("only")
        await here.send([(b"k-%d" % n, service.job(one)) for n, one in enumerate(ids)])
        events = await here.until_ended(ids)
        assert await asyncio.to_thread(relay.stop) == 0
        assert history.faults(ids, events, [effect["name"] for effect in mrs.effects()]) == []
        assert {event.state for event in events if event.state in history.LAST} == {"succeeded"}


async def test_a_stopped_relay_leaves_its_jobs_running_and_the_next_one_takes_them_up(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """SIGTERM: exit 0 within shutdown_s; jobs under way are followed to their end by the next process."""
    here = deployment(kafka, mrs, tmp_path, "stopped")
    await asyncio.to_thread(here.create_topics, 2)
    long = {"emulator.duration_s": "6"}
    ids = [f"r-{number}" for number in range(8)]
    relay = here.start_relay("first")
    body = {"cluster": service.CLUSTER, "job": {"job_type": "Flink", "properties": long}}

    await here.send(
        [
            (b"k", json.dumps({"id": one, "source": "/test", "type": "mrs.job.submit", "data": body}).encode())
            for one in ids
        ]
    )

    await waiting.until(lambda: len(mrs.effects()) == len(ids))
    relay.send(signal.SIGTERM)
    assert await asyncio.to_thread(relay.wait, _SHUTDOWN_S + _LOADED_S) == 0

    second = here.start_relay("second")
    events = await here.until_ended(ids)
    assert await asyncio.to_thread(second.stop) == 0
    assert history.faults(ids, events, [effect["name"] for effect in mrs.effects()]) == []
