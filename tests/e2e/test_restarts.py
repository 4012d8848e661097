"""Relays as processes that are killed, restarted one after the other, and started twice under one name."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from tests.support import brokers, child, history, service, waiting

from mrs_relay.kafka import settings

_PARTITIONS = 6
_DEFAULT = {
    f"KAFKA__{name.upper()}": str(settings.KafkaSettings.model_fields[name].default)
    for name in ("session_timeout_ms", "heartbeat_interval_ms")
}
_TARGET_S = 12.0
_LOADED_S = 24.0
"""What a loaded machine may take longer: the tests run beside others. Kafka's own session would last 45 s."""


@pytest.fixture
def mrs(tmp_path: Path) -> Iterator[service.Emulator]:
    """An MRS with many slots and short jobs."""
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "0.5") as playing:
        yield playing


@pytest.fixture
async def here(kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path) -> service.Deployment:
    """A deployment with its topics and the default times of the relay."""
    more = {"ENGINE__SLOTS_PER_CLUSTER": "0", "ENGINE__MAX_IN_FLIGHT": "8", **_DEFAULT}
    made = service.Deployment(kafka.bootstrap, f"restarts-{time.time_ns()}", mrs.url, tmp_path, more=more)
    await asyncio.to_thread(made.create_topics, _PARTITIONS)
    return made


def _reported(relay: child.Child, event: str) -> int:
    return relay.log.read_text(errors="replace").count(f'"{event}"')


async def _at_work(relays: Sequence[child.Child]) -> None:
    """Wait until all have had partitions, and together all of them."""
    await waiting.until(lambda: all(_reported(one, "partition_owned") for one in relays))


@contextlib.asynccontextmanager
async def _requests(here: service.Deployment) -> AsyncIterator[list[str]]:
    """Send a request to some partition ten times a second; the ids of those that were sent."""
    sent: list[str] = []
    enough = asyncio.Event()

    async def send() -> None:
        while not enough.is_set():
            number = len(sent)
            sent.append(f"r-{number}")
            await here.send([(b"key-%d" % number, service.job(sent[-1]))])
            await asyncio.sleep(0.1)

    sending = asyncio.create_task(send())
    try:
        yield sent
    finally:
        enough.set()
        await sending


async def _all_ended(here: service.Deployment, mrs: service.Emulator, ids: Sequence[str]) -> None:
    events = await here.until_ended(ids)
    assert history.faults(ids, events, [effect["name"] for effect in mrs.effects()]) == []


async def test_killed_relay_is_replaced_within_twelve_seconds(here: service.Deployment, mrs: service.Emulator) -> None:
    """It cannot say that it is gone: its session ends, and another relay acts on what was its own."""
    heir, gone = here.start_relay("heir"), here.start_relay("gone")
    await _at_work([heir, gone])
    await asyncio.to_thread(gone.kill)
    killed_s = time.monotonic()
    ids = [f"after-{number}" for number in range(4 * _PARTITIONS)]
    await here.send([(b"key-%d" % number, service.job(one)) for number, one in enumerate(ids)])

    async def all_submitted() -> bool:
        return {one.request_id for one in await here.story() if one.state == "submitted"} == set(ids)

    await waiting.until(all_submitted)
    assert time.monotonic() - killed_s < _TARGET_S + _LOADED_S
    await _all_ended(here, mrs, ids)
    assert _reported(heir, "partitions_revoked") == 1  # when it joined: it went on with its own all the time
    assert await asyncio.to_thread(heir.stop) == 0


@pytest.mark.parametrize("held", [False, True], ids=["handed over", "held"])
async def test_rolling_restart_under_load_loses_nothing_and_stops_nobody_else(
    here: service.Deployment, mrs: service.Emulator, *, held: bool
) -> None:
    """Partitions of a relay that restarts move to others at once, or wait for its return; the others work on."""
    own = {"KAFKA__RESTART_HOLD_MS": "60000"} if held else {}
    names = ["a", "b", "c"]
    relays = {one: here.start_relay(one, **own, **({"KAFKA__INSTANCE_ID": one} if held else {})) for one in names}
    await _at_work(list(relays.values()))

    async with _requests(here) as sent:
        await waiting.until(lambda: len(sent) > 10)
        for one in names:
            others = {name: relay for name, relay in relays.items() if name != one}
            before = {name: _reported(relay, "group_rejoining") for name, relay in others.items()}
            assert await asyncio.to_thread(relays[one].stop) == 0
            relays[one] = here.start_relay(f"{one}-again", **own, **({"KAFKA__INSTANCE_ID": one} if held else {}))
            await _at_work([relays[one]])
            if held:
                assert {name: _reported(relay, "group_rejoining") for name, relay in others.items()} == before
        count = len(sent)
        await waiting.until(lambda: len(sent) > count + 10)

    assert {_reported(relay, "partitions_revoked") for relay in relays.values()} == {1}  # when they joined

    await _all_ended(here, mrs, sent)
    assert [await asyncio.to_thread(relay.stop) for relay in relays.values()] == [0] * 3


async def test_second_relay_with_the_same_instance_id_ends_the_first(
    here: service.Deployment, mrs: service.Emulator
) -> None:
    """It exits with 2 and says which setting is the same; the second one works, and stays."""
    first = here.start_relay("first", KAFKA__INSTANCE_ID="same")
    await _at_work([first])
    second = here.start_relay("second", KAFKA__INSTANCE_ID="same")
    assert await asyncio.to_thread(first.wait, waiting.LIMIT_S) == 2
    assert "kafka.instance_id, same: expected one process" in first.log.read_text()
    await here.send(sent := [(b"key-%d" % number, service.job(f"r-{number}")) for number in range(12)])
    await _all_ended(here, mrs, [f"r-{number}" for number in range(len(sent))])
    assert _reported(second, "partitions_assigned") == 1
    assert await asyncio.to_thread(second.stop) == 0
