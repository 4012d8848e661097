"""Owners that freeze, wake up, or are joined by others in the middle of a commit or a POST, on real Kafka."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiokafka
import pytest
from aiokafka import admin
from tests.support import brokers, child, history, service, waiting

_ROOT = Path(__file__).resolve().parents[2]
_IDS = [f"r-{number}" for number in range(24)]
_LATER = [f"later-{number}" for number in range(24)]
_BUSY = 12  # requests that wait for their POST: more than a relay has in flight at once

_BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


@dataclass(frozen=True, slots=True)
class Armed:
    """A relay that freezes when it passes an ordered point; see `chaos_relay`."""

    process: child.Child
    place: Path

    async def order(self, point: str, nth: int = 2, *, partitions: int = 4) -> None:
        """Have it freeze at work: the claim and the first commit of each partition pass the same points before."""
        await waiting.until(lambda: self.process.log.read_text().count("partition_owned") >= partitions)
        self.place.with_suffix(".order").write_text(f"{point} {nth} {int(signal.SIGSTOP)}")

    async def until_frozen(self) -> None:
        """Wait until it stands still at the point."""
        await waiting.until(self.place.with_suffix(".reached").exists)

    def go_on(self) -> None:
        """Let it go on as if nothing had happened."""
        self.process.send(signal.SIGCONT)


def _armed(here: service.Deployment, **more: str) -> Armed:
    place = here.workdir / f"{here.name}-armed"
    environment = {**here.environment(), **{f"MRS_RELAY_{name}": value for name, value in more.items()}}
    process = child.Child(
        [sys.executable, "-m", "tests.support.chaos_relay", "serve"],
        log=here.workdir / f"{here.name}-armed.log",
        env={**environment, "CHAOS_PLACE": str(place), "PYTHONPATH": _path(environment)},
        cwd=_ROOT,
    )
    return Armed(process, place)


def _path(environment: Mapping[str, str]) -> str:
    return ":".join([str(_ROOT), *filter(None, [environment.get("PYTHONPATH")])])


@pytest.fixture
def mrs(tmp_path: Path) -> Iterator[service.Emulator]:
    """An MRS with many slots and short jobs."""
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "0.5") as playing:
        yield playing


def _deployment(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path, guarantee: str, **more: str
) -> service.Deployment:
    settings = {"ENGINE__SLOTS_PER_CLUSTER": "0", "ENGINE__MAX_IN_FLIGHT": "4", "KAFKA__SESSION_TIMEOUT_MS": "3000"}
    name = f"takeover-{time.time_ns()}"
    return service.Deployment(kafka.bootstrap, name, mrs.url, tmp_path, guarantee, more={**settings, **more})


def _requests(ids: Sequence[str] = _IDS) -> list[tuple[bytes | None, bytes | None]]:
    return [(b"key-%d" % number, service.job(one)) for number, one in enumerate(ids)]


async def _all_ended(
    here: service.Deployment, mrs: service.Emulator, guarantee: str, ids: Sequence[str] = _IDS
) -> None:
    """Check that each request has one job and a whole story: without gap or repeat, or with the same event again."""
    events = await here.until_ended(ids)
    if guarantee == "at-least-once":
        events = list({(event.request_id, event.sequence): event for event in events}.values())
    created = [effect["name"] for effect in mrs.effects()]
    assert history.faults(ids, events, created) == []
    assert len(created) == len(ids)


@pytest.mark.parametrize("point", ["between records and commit", "after the commit", "after the POST"])
@_BOTH
async def test_an_owner_that_freezes_beyond_its_session_and_wakes_up_harms_nobody(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path, guarantee: str, point: str
) -> None:
    """Its partitions go to another relay meanwhile: what it holds is never committed, sent or told a second time."""
    here = _deployment(kafka, mrs, tmp_path, guarantee)
    await asyncio.to_thread(here.create_topics, 4)
    zombie = _armed(here)
    await zombie.order(point)
    sending = asyncio.create_task(here.send(_requests()))
    await zombie.until_frozen()
    await sending
    heir = here.start_relay("heir")
    await waiting.until(lambda: len(mrs.effects()) >= len(_IDS) - 4)
    zombie.go_on()
    await _all_ended(here, mrs, guarantee)
    assert (await asyncio.to_thread(heir.stop), await asyncio.to_thread(zombie.process.stop)) == (0, 0)


async def _group_waits(here: service.Deployment) -> bool:
    """Return whether the group waits for its members to join again."""
    client = admin.AIOKafkaAdminClient(bootstrap_servers=here.bootstrap)
    await client.start()
    try:
        (found,) = await client.describe_consumer_groups([here.name])
    finally:
        await client.close()
    return "PreparingRebalance" in [state for _, _, state, *_ in found.groups]


@_BOTH
async def test_a_rebalance_in_the_middle_of_a_commit_takes_nothing_and_repeats_nothing(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path, guarantee: str
) -> None:
    """
    A relay joins while the other one stands between the records of a commit and its end, but within its session.

    Both go on afterwards, each with what is its own then.
    """
    here = _deployment(kafka, mrs, tmp_path, guarantee, KAFKA__SESSION_TIMEOUT_MS="60000")
    await asyncio.to_thread(here.create_topics, 4)
    first = _armed(here)
    await first.order("between records and commit", 4)
    sending = asyncio.create_task(here.send(_requests()))
    await first.until_frozen()
    second = here.start_relay("second")
    await waiting.until(lambda: _group_waits(here))  # it has asked to join, and the group waits for the other one
    first.go_on()
    await sending
    await waiting.until(lambda: "partition_owned" in second.log.read_text())
    await here.send(_requests(_LATER))
    await _all_ended(here, mrs, guarantee, [*_IDS, *_LATER])
    assert (await asyncio.to_thread(second.stop), await asyncio.to_thread(first.process.stop)) == (0, 0)


@_BOTH
async def test_a_rebalance_in_the_middle_of_posts_starts_no_job_twice(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path, guarantee: str
) -> None:
    """Submissions are under way when their partitions move: each ends in one job, whoever commits its outcome."""
    here = _deployment(kafka, mrs, tmp_path, guarantee, KAFKA__SESSION_TIMEOUT_MS="6000")
    await asyncio.to_thread(here.create_topics, 4)
    mrs.fault(action="latency", operation="CreateExecuteJob", seconds=1.5, count=None)
    first = here.start_relay("first")
    ids: list[str] = []

    async def send_until_both_own_partitions() -> None:
        while "partition_owned" not in second.log.read_text():
            if len(ids) - len(mrs.effects()) < _BUSY:
                more = [f"r-{len(ids) + number}" for number in range(4)]
                await here.send(_requests(more))
                ids.extend(more)
            await asyncio.sleep(0.05)

    await here.send(_requests())
    ids.extend(_IDS)
    await waiting.until(lambda: len(mrs.effects()) >= 1)
    second = here.start_relay("second")
    async with asyncio.timeout(waiting.LIMIT_S):
        await send_until_both_own_partitions()
    assert len(mrs.effects()) < len(ids)
    await _all_ended(here, mrs, guarantee, ids)
    assert (await asyncio.to_thread(second.stop), await asyncio.to_thread(first.stop)) == (0, 0)


async def _all_decided(here: service.Deployment) -> bool:
    """Return whether nothing undecided stands in the way of the ledger's readers."""
    ends: list[dict[aiokafka.TopicPartition, int]] = []
    for level in ("read_committed", "read_uncommitted"):
        topic = f"{here.requests}.ledger"
        consumer = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=here.bootstrap, isolation_level=level)
        await consumer.start()
        try:
            ends.append(await consumer.end_offsets(consumer.assignment()))
        finally:
            await consumer.stop()
    return ends[0] == ends[1]


async def test_a_transaction_that_runs_out_of_time_is_made_again_whole(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """A relay stands still in mid-transaction within its session: Kafka aborts it, and nothing is doubled."""
    here = _deployment(kafka, mrs, tmp_path, "exactly-once", KAFKA__SESSION_TIMEOUT_MS="90000")
    await asyncio.to_thread(here.create_topics, 1)
    times = {"TRANSACTION_TIMEOUT_MS": "9000", "COMMIT_TIMEOUT_S": "7.5", "REQUEST_TIMEOUT_MS": "4500"}
    relay = _armed(here, **{f"KAFKA__{name}": one for name, one in times.items()})
    await relay.order("between records and commit", partitions=1)
    sending = asyncio.create_task(here.send(_requests()))
    await relay.until_frozen()
    await waiting.until(lambda: _all_decided(here))  # although the relay stands still
    relay.go_on()
    await sending
    await _all_ended(here, mrs, "exactly-once")
    log = relay.process.log.read_text()
    assert ("partition_failed" in log, "partitions_revoked" in log.split("partition_failed")[1]) == (True, False)
    assert await asyncio.to_thread(relay.process.stop) == 0
