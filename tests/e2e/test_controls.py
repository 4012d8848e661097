"""Controls on real Kafka, in real processes: a hold outlives every worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import brokers, child, history, service, waiting

_PARTITIONS = 4
_WRONG_S = 4.0
"""Within this time a relay that knew of no hold would submit something."""
_IDS = [f"r-{number}" for number in range(12)]


@pytest.fixture
def mrs(tmp_path: Path) -> Iterator[service.Emulator]:
    """An MRS with many slots and short jobs."""
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "0.5") as playing:
        yield playing


def _owned(*relays: child.Child) -> int:
    """Return how many partitions relays have taken."""
    return sum(relay.log.read_text().count("partition_owned") for relay in relays)


async def test_hold_outlives_the_kill_of_every_worker(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """Nothing is submitted by whoever comes next, until the hold is released; then each request runs once."""
    more = {"ENGINE__SLOTS_PER_CLUSTER": "0", "KAFKA__SESSION_TIMEOUT_MS": "3000"}
    here = service.Deployment(kafka.bootstrap, f"controls-{time.time_ns()}", mrs.url, tmp_path, more=more)
    await asyncio.to_thread(here.create_topics, _PARTITIONS)
    relay = here.start_relay("first")
    relays = [relay]
    try:
        await waiting.until(lambda: _owned(relay) >= _PARTITIONS)
        code, said = await asyncio.to_thread(here.command, "hold", "all", "--reason", "upgrade", "--by", "ann")
        assert (code, "set: hold of all by ann" in said) == (0, True), said
        await waiting.until(lambda: "control_changed" in relay.log.read_text())
        await here.send([(b"key-%d" % number, service.job(one)) for number, one in enumerate(_IDS)])
        relays.append(here.start_relay("second"))
        await waiting.until(lambda: _owned(relays[1]) >= 1)
        for one in relays:
            one.kill()

        relays += [here.start_relay("third"), here.start_relay("fourth")]
        await waiting.until(lambda: _owned(*relays[2:]) >= _PARTITIONS)

        async def all_accepted() -> bool:
            return {event.request_id for event in await here.story() if event.state == "accepted"} == set(_IDS)

        await waiting.until(all_accepted)
        await asyncio.sleep(_WRONG_S)
        assert mrs.effects() == []

        code, said = await asyncio.to_thread(here.command, "release", "all")
        assert (code, "lifted: hold of all" in said) == (0, True), said
        events = await here.until_ended(_IDS)
        assert history.faults(_IDS, events, [effect["name"] for effect in mrs.effects()]) == []
        assert len(mrs.effects()) == len(_IDS)
    finally:
        for one in relays:
            one.kill()
