"""The reader keeps the controls as the topic says, through outages, bad records and a topic that is missing."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from tests.support import runtimes

from mrs_relay import errors
from mrs_relay.common import clock, tasks
from mrs_relay.engine import control_reader
from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.kafka import records
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.messages import controls

pytestmark = pytest.mark.looptime

_TOPIC = "mrs.control"
_UNREADABLE = b"{"


def put(broker: memory_broker.MemoryBroker, scope: str, mode: str | None = "hold", **more: Any) -> None:
    """Send a control; None lifts one."""
    value = None if mode is None else json.dumps({"mode": mode, "reason": "why", **more}).encode()
    broker.put(_TOPIC, 0, scope.encode(), value)


def _fail(task: str, error: BaseException) -> None:
    raise AssertionError(task) from error


@contextlib.asynccontextmanager
async def _reading(broker: memory_broker.MemoryBroker) -> AsyncIterator[control_reader.ControlReader]:
    time = clock.LoopClock()
    reader = control_reader.ControlReader(broker, _TOPIC, standing.Controls(time.now_ms), time)
    async with tasks.TaskSupervisor(_fail) as supervisor:
        supervisor.start(reader.run(), name="controls")
        yield reader
        reader.close()


def _scopes(reader: control_reader.ControlReader) -> list[str]:
    return [str(one.scope) for one in reader.controls]


def _broker() -> memory_broker.MemoryBroker:
    return runtimes.cluster(runtimes.kafka_settings())


async def test_all_that_was_there_is_known_before_it_is_used() -> None:
    """The last record of each scope counts, and only when all of them have been read."""
    broker = _broker()
    for scope in ("all", "tenant/a", "cluster/c"):
        put(broker, scope)
    put(broker, "all", None)
    put(broker, "tenant/a", "drain")
    async with _reading(broker) as reader:
        assert _scopes(reader) == []
        await reader.require()
        assert [(str(one.scope), one.mode) for one in reader.controls] == [("cluster/c", "hold"), ("tenant/a", "drain")]
        assert reader.controls.problem is None


async def test_control_is_in_effect_within_a_second_and_so_is_its_end() -> None:
    """Also an end that nobody sends: `until`."""
    broker = _broker()
    async with _reading(broker) as reader:
        await reader.require()
        put(broker, "all")
        await asyncio.sleep(1)
        assert _scopes(reader) == ["all"]
        put(broker, "all", "release")
        await asyncio.sleep(1)
        assert _scopes(reader) == []

        changes: list[list[str]] = []
        reader.controls.on_change(lambda: changes.append(_scopes(reader)))
        until = dt.datetime.fromtimestamp(reader.time.now_ms() / 1000 + 60, dt.UTC).isoformat()
        put(broker, "all", until=until)
        await asyncio.sleep(59)
        assert changes == [["all"]]
        await asyncio.sleep(2)
        assert changes == [["all"], []]


async def test_nothing_is_known_while_kafka_is_down() -> None:
    """Whoever asks is told why, and waits; no control is taken for absent."""
    broker = _broker()
    put(broker, "all")
    broker.go_down()
    async with _reading(broker) as reader:
        with pytest.raises(errors.StreamDown, match=r"controls in topic mrs\.control have not been read yet"):
            await reader.require()
        broker.come_up()
        await asyncio.sleep(10)
        await reader.require()
        assert (_scopes(reader), reader.controls.problem) == (["all"], None)


async def test_outage_leaves_the_controls_as_they_were() -> None:
    """A hold holds while its topic cannot be read; what came meanwhile is read afterwards."""
    broker = _broker()
    put(broker, "all")
    async with _reading(broker) as reader:
        await reader.require()
        broker.go_down()
        await asyncio.sleep(60)
        assert _scopes(reader) == ["all"]
        assert "may be out of date" in (reader.controls.problem or "")
        put(broker, "all", None)
        put(broker, "tenant/a")
        broker.come_up()
        await asyncio.sleep(30)
        assert (_scopes(reader), reader.controls.problem) == (["tenant/a"], None)


async def test_missing_topic_stops_nothing_and_counts_once_it_is_there() -> None:
    """A deployment from before controls goes on; the topic needs no restart."""
    broker = _broker()
    broker.drop_topic(_TOPIC)
    async with _reading(broker) as reader:
        await reader.require()
        assert "mrs.control (kafka.topics.control) is missing" in (reader.controls.problem or "")
        broker.create_topic(_TOPIC, 1)
        put(broker, "all")
        await asyncio.sleep(7)
        assert (_scopes(reader), reader.controls.problem) == (["all"], None)


async def test_topic_that_vanishes_lifts_no_hold() -> None:
    """Its controls stay until there is another topic that says otherwise."""
    broker = _broker()
    put(broker, "all")
    async with _reading(broker) as reader:
        await reader.require()
        broker.go_down()
        broker.drop_topic(_TOPIC)
        await asyncio.sleep(20)
        broker.come_up()
        await asyncio.sleep(30)
        assert _scopes(reader) == ["all"]
        assert "is missing" in (reader.controls.problem or "")


async def test_bad_record_is_counted_once_and_changes_nothing() -> None:
    """It stops no worker, and the controls before and behind it count."""
    broker = _broker()
    put(broker, "all")

    with structlog.testing.capture_logs() as logs:
        async with _reading(broker) as reader:
            await reader.require()
            broker.put(_TOPIC, 0, b"all", _UNREADABLE)
            broker.put(_TOPIC, 0, b"nowhere/x", b"{}")
            put(broker, "tenant/a")
            await asyncio.sleep(1)
            broker.go_down()  # it is read again afterwards
            await asyncio.sleep(20)
            broker.come_up()
            await asyncio.sleep(10)
            assert _scopes(reader) == ["all", "tenant/a"]
            assert reader.controls.rejected == 2

    rejected = [line for line in logs if line["event"] == "control_rejected"]
    assert [(line["partition"], line["offset"]) for line in rejected] == [(0, 1), (0, 2)]


async def test_topic_of_several_partitions_is_read_whole() -> None:
    """The broker may have made it by itself, with as many partitions as it makes."""
    broker = _broker()
    broker.create_topic(_TOPIC, 3)
    for partition in range(3):
        broker.put(_TOPIC, partition, f"tenant/{partition}".encode(), b'{"mode": "hold", "reason": "why"}')
    async with _reading(broker) as reader:
        await reader.require()
        assert sorted(_scopes(reader)) == ["tenant/0", "tenant/1", "tenant/2"]


async def test_batch_that_cannot_be_read_is_passed_over() -> None:
    """Damage stops no worker from starting, and hides no other control."""
    broker = _broker()
    for scope in ("all", "tenant/a", "tenant/b"):
        put(broker, scope)
    broker.log(records.Position(_TOPIC, 0)).spoil(1, 2, "it is damaged")
    async with _reading(broker) as reader:
        await reader.require()
        assert (_scopes(reader), reader.controls.rejected) == (["all", "tenant/b"], 1)
        put(broker, "tenant/c")
        await asyncio.sleep(1)
        assert _scopes(reader) == ["all", "tenant/b", "tenant/c"]


@pytest.mark.parametrize("is_dropped", [False, True])
async def test_silence_is_not_taken_for_no_change(is_dropped: bool) -> None:
    """After the first read, too: a leader that is gone, and a topic that is deleted, are told, and lift no hold."""
    broker = _broker()
    put(broker, "all")
    async with _reading(broker) as reader:
        await reader.require()
        if is_dropped:
            broker.drop_topic(_TOPIC)
        else:
            broker.lose_leader(_TOPIC, 0)
        await asyncio.sleep(60)
        assert ("is missing" if is_dropped else "has no leader") in (reader.controls.problem or "")
        assert _scopes(reader) == ["all"]


@pytest.mark.parametrize("is_all", [False, True])
async def test_who_joins_again_during_an_outage_waits_for_the_controls(is_all: bool) -> None:
    """A hold that was set meanwhile must be known before the replica takes a partition again."""
    broker = _broker()
    async with _reading(broker) as reader:
        await reader.require()
        if is_all:
            broker.go_down()
        else:
            broker.lose_leader(_TOPIC, 0)

        await asyncio.sleep(60)
        with pytest.raises(errors.StreamDown, match="have not been read yet"):
            await reader.require()
        put(broker, "all")
        broker.come_up()
        broker.regain_leaders()
        await asyncio.sleep(30)
        await reader.require()

        assert _scopes(reader) == ["all"]


async def test_topic_that_a_broker_does_not_know_yet_is_not_missing() -> None:
    """Its metadata may be a few seconds behind: nothing is submitted meanwhile."""
    broker = _broker()
    broker.drop_topic(_TOPIC)
    async with _reading(broker) as reader:
        asking = asyncio.create_task(reader.require())
        await asyncio.sleep(2)
        assert not asking.done()
        broker.create_topic(_TOPIC, 1)
        put(broker, "all")
        await asking
        assert (_scopes(reader), reader.controls.problem) == (["all"], None)


async def test_partition_that_is_added_is_read_within_a_minute() -> None:
    """Somebody may have made the topic larger."""
    broker = _broker()
    put(broker, "all")
    async with _reading(broker) as reader:
        await reader.require()
        broker.create_topic(_TOPIC, 2)
        put(broker, "all")
        broker.put(_TOPIC, 1, b"tenant/a", b'{"mode": "hold", "reason": "why"}')
        await asyncio.sleep(60)
        assert (sorted(_scopes(reader)), reader.controls.problem) == (["all", "tenant/a"], None)


async def test_failures_in_a_row_are_tried_less_and_less_often() -> None:
    """A partition without a leader is no new beginning each time that the broker answers."""
    broker = _broker()
    broker.lose_leader(_TOPIC, 0)
    with structlog.testing.capture_logs() as logs:
        async with _reading(broker):
            await asyncio.sleep(600)
    failed = [line for line in logs if line["event"] == "controls_unreachable"]
    timeout_s = runtimes.kafka_settings().request_timeout_ms / 1000
    assert 0 < len(failed) < 600 / (timeout_s + 2)


async def test_bug_does_not_end_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged and told, and what comes afterwards counts."""
    broker = _broker()
    async with _reading(broker) as reader:
        await reader.require()
        with monkeypatch.context() as broken:
            broken.setattr(controls, "read", lambda *_: 1 / 0)
            put(broker, "all")
            await asyncio.sleep(5)
            assert "ZeroDivisionError" in (reader.controls.problem or "")
        await asyncio.sleep(10)
        assert (_scopes(reader), reader.controls.problem) == (["all"], None)
