"""
Three brokers, as in production: links that fail in one direction only, and partitions added while requests flow.

Relays reach the brokers through proxies, each by a link of its own; see `proxy`. Whole brokers that fail are in
`test_failover`, and all of it together in the kill loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import admin
from tests.support import brokers, child, history, proxy, service, waiting

pytestmark = pytest.mark.kafka

PARTITIONS = 4


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[brokers.KafkaCluster]:
    """Three brokers, reachable by two links."""
    with brokers.start_cluster(tmp_path_factory.mktemp("cluster"), links=2) as three:
        yield three


@pytest.fixture
def mrs(tmp_path: Path) -> Iterator[service.Emulator]:
    """An MRS with many slots and jobs of a second."""
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "1") as playing:
        yield playing


@asynccontextmanager
async def two_relays(here: service.Deployment, links: Sequence[proxy.Link]) -> AsyncIterator[list[child.Child]]:
    """Yield a relay on each link; those in the list in the end still run then, and end in order."""
    await asyncio.to_thread(here.create_topics, PARTITIONS, 3)
    relays = [start_relay(here, link, str(number)) for number, link in enumerate(links)]
    await until_all_own(relays)
    yield relays
    assert [relay.exit_code() for relay in relays] == [None, None]
    assert [await asyncio.to_thread(relay.stop) for relay in relays] == [0, 0]


def start_relay(here: service.Deployment, link: proxy.Link, label: str) -> child.Child:
    """Start a relay that reaches Kafka by a link."""
    return here.start_relay(label, KAFKA__BOOTSTRAP_SERVERS=link.bootstrap)


def deployment(cluster: brokers.KafkaCluster, mrs: service.Emulator, tmp_path: Path, name: str) -> service.Deployment:
    more = {"ENGINE__SLOTS_PER_CLUSTER": "0"}
    return service.Deployment(cluster.bootstrap, f"{name}-{time.time_ns()}", mrs.url, tmp_path, more=more)


def hold_up(each: proxy.Proxy) -> None:
    """Let brokers hear nothing."""
    each.up.switch(proxy.Mode.HOLD)


def hold_down(each: proxy.Proxy) -> None:
    """Let relays hear nothing."""
    each.down.switch(proxy.Mode.HOLD)


def flow(each: proxy.Proxy) -> None:
    """End it; what was held goes on."""
    each.switch(proxy.Mode.FLOW)


async def until_all_own(relays: Sequence[child.Child]) -> None:
    """Wait until every relay has had its share of the partitions."""
    share = PARTITIONS // len(relays)
    await waiting.until(lambda: all(owned(relay) >= share for relay in relays))


def owned(relay: child.Child) -> int:
    """Return how often a relay has taken a partition."""
    return relay.log.read_text().count('"partition_owned"')


async def send_slowly(here: service.Deployment, ids: Sequence[str]) -> None:
    """Send ten requests a second, each under a key of its own."""
    for one in ids:
        await here.send([(one.encode(), service.job(one))])
        await asyncio.sleep(0.02)  # a producer of its own for each takes the rest


@pytest.mark.parametrize("hold", [hold_up, hold_down])
async def test_relay_that_kafka_hears_only_one_way_is_fenced_and_comes_back(
    cluster: brokers.KafkaCluster, mrs: service.Emulator, tmp_path: Path, hold: Callable[[proxy.Proxy], None]
) -> None:
    """The other relay takes over; what was held arrives late and changes nothing: one job each, one story each."""
    here = deployment(cluster, mrs, tmp_path, "one-way")
    async with proxy.open_links(cluster.link_ports) as links, two_relays(here, links) as relays:
        ids = [f"r-{number}" for number in range(30)]
        sending = asyncio.create_task(send_slowly(here, ids))
        await asyncio.sleep(1.0)
        before = owned(relays[1])
        links[0].each(hold)
        await waiting.until(lambda: owned(relays[1]) > before)
        links[0].each(flow)
        await sending
        late = [f"late-{number}" for number in range(20)]
        await here.send([(one.encode(), service.job(one)) for one in late])
        events = await here.until_ended([*ids, *late])
    assert history.faults([*ids, *late], events, [effect["name"] for effect in mrs.effects()]) == []


async def test_partitions_added_under_requests_lose_and_double_nothing(
    cluster: brokers.KafkaCluster, mrs: service.Emulator, tmp_path: Path
) -> None:
    """What goes to a new partition before any relay reads it is carried out, without a restart."""
    here = deployment(cluster, mrs, tmp_path, "grown")
    async with proxy.open_links(cluster.link_ports) as links, two_relays(here, links):
        ids = [f"r-{number}" for number in range(40)]
        sending = asyncio.create_task(send_slowly(here, ids))
        await asyncio.sleep(1.0)
        client = admin.AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await client.start()
        for topic in (here.requests, f"{here.requests}.ledger"):
            await client.create_partitions({topic: admin.NewPartitions(total_count=PARTITIONS + 2)})
        await client.close()
        await sending
        late = [f"late-{number}" for number in range(40)]
        await here.send([(one.encode(), service.job(one)) for one in late])
        assert await added_in_use(here) == {PARTITIONS, PARTITIONS + 1}
        events = await here.until_ended([*ids, *late])

    assert history.faults([*ids, *late], events, [effect["name"] for effect in mrs.effects()]) == []


async def added_in_use(here: service.Deployment) -> set[int]:
    """Return the added partitions that requests have gone to."""
    used = {record.partition for record in await here.records(here.requests)}
    return used - set(range(PARTITIONS))
