"""
The kill loop's troubles of Kafka itself: brokers killed, restarted and frozen, leaders moved, partitions added.

On one broker only it can be killed, restarted and frozen. On three, with replication 3 and min ISR 2, one of them fails
alone, or two together, at random or aimed: the broker that coordinates transactions or the group, or leads requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiokafka
from aiokafka import admin
from aiokafka import errors as kafka_errors
from tests.support import brokers, chaos_fleet, chaos_sites, chaos_troubles

_RECOVERY_S = 120.0
_IN_SYNC_S = 30.0
_ADMIN_S = 60.0
_POINT_S = 20.0
_MOST_PARTITIONS = 24
_AWAY = (kafka_errors.KafkaError, TimeoutError, OSError)


@dataclass(eq=False)
class KafkaTroubles:
    """All that can be done to the brokers; each method says whether it has bitten."""

    cluster: brokers.KafkaCluster
    sites: Sequence[chaos_sites.Site]
    chance: random.Random
    slowest_recovery_s: float = 0.0

    def kinds(self) -> Mapping[str, tuple[chaos_troubles.Trouble, int]]:
        """Name -> the trouble and its weight."""
        alone: dict[str, tuple[chaos_troubles.Trouble, int]] = {
            "broker SIGKILL": (partial(self._die, 1), 4),
            "broker SIGTERM": (self._restart, 2),
            "broker SIGSTOP": (partial(self._hang, 1), 4),
        }
        if len(self.cluster.nodes) == 1:
            return {**alone, "partitions added": (self._add_partitions, 1)}

        return {
            **alone,
            "coordinator of transactions SIGKILL in mid-commit": (self._coordinator_dies_in_mid_commit, 2),
            "two brokers SIGKILL": (partial(self._die, 2), 2),
            "coordinator of the group SIGKILL": (partial(self._aimed, self._coordinator_of_group, self._kill), 2),
            "leader of requests SIGSTOP": (partial(self._aimed, self._leader_of_requests, self._freeze), 1),
            "leaders moved by election": (self._elect, 2),
            "partitions added": (self._add_partitions, 1),
            "two brokers SIGSTOP": (partial(self._hang, 2), 1),
            "coordinator of the group SIGSTOP": (partial(self._aimed, self._coordinator_of_group, self._freeze), 1),
            "leader of requests SIGKILL": (partial(self._aimed, self._leader_of_requests, self._kill), 1),
        }

    # killed, restarted, frozen

    async def _die(self, count: int) -> bool:
        return await self._kill(*self.chance.sample(self.cluster.nodes, count))

    async def _hang(self, count: int) -> bool:
        return await self._freeze(*self.chance.sample(self.cluster.nodes, count))

    async def _restart(self) -> bool:
        await asyncio.to_thread(self.chance.choice(self.cluster.nodes).restart)
        return await self._recovered()

    async def _kill(self, *nodes: brokers.KafkaNode) -> bool:
        for node in nodes:
            await asyncio.to_thread(node.kill)
        return await self._back()

    async def _back(self) -> bool:
        alone = len(self.cluster.nodes) == 1
        await asyncio.sleep(self.chance.uniform(0.0, 2.0 if alone else 8.0))
        await asyncio.to_thread(self.cluster.start)
        return await self._recovered()

    async def _freeze(self, *nodes: brokers.KafkaNode) -> bool:
        """Freeze long enough for the controller to give it up, sometimes much longer; a lone broker has no peers."""
        alone = len(self.cluster.nodes) == 1
        for node in nodes:
            node.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(self.chance.uniform(1.0, 6.0) if alone else self.chance.triangular(5.0, 40.0, 8.0))
        finally:
            for node in nodes:
                node.send(signal.SIGCONT)
        return await self._recovered()

    # aimed

    async def _aimed(
        self,
        aim: Callable[[], Awaitable[brokers.KafkaNode]],
        trouble: Callable[[brokers.KafkaNode], Awaitable[bool]],
    ) -> bool:
        try:
            node = await aim()
        except _AWAY:
            return False
        return await trouble(node)

    async def _coordinator_dies_in_mid_commit(self) -> bool:
        """Return a relay stands still between the records and the end of a transaction while its coordinator dies."""
        site = self.chance.choice([site for site in self.sites if site.plan.lanes])
        relay = await site.fleet.take()

        try:
            node = await self._coordinator_of_transactions(site)
        except _AWAY:
            await site.fleet.give(relay)
            return False

        relay.order("between records and commit", self.chance.randint(1, 4), signal.SIGSTOP)
        reached = await chaos_fleet.until(lambda: relay.reached, _POINT_S)
        relay.forget()
        if reached:
            await asyncio.to_thread(node.kill)
        relay.process.send(signal.SIGCONT)
        await site.fleet.give(relay)

        return await self._back() and reached

    async def _coordinator_of_transactions(self, site: chaos_sites.Site) -> brokers.KafkaNode:
        here = site.here
        partition = self.chance.randrange(site.sender.partitions)
        transactional_id = f"{here.name}.{here.name}.{here.requests}.{partition}"
        async with self._admin() as client:
            return self._node(await client.find_coordinator(transactional_id, 1))

    async def _coordinator_of_group(self) -> brokers.KafkaNode:
        async with self._admin() as client:
            return self._node(await client.find_coordinator(self.chance.choice(self.sites).here.name))

    async def _leader_of_requests(self) -> brokers.KafkaNode:
        async with self._admin() as client:
            topic = (await client.describe_topics([self.chance.choice(self.sites).here.requests]))[0]
        return self._node(self.chance.choice(topic["partitions"])["leader"])

    def _node(self, number: int) -> brokers.KafkaNode:
        if number < 1:
            raise kafka_errors.LeaderNotAvailableError
        return self.cluster.nodes[number - 1]

    # moved and added

    async def _elect(self) -> bool:
        """Name another replica of every partition the preferred leader, and have all elected."""
        try:
            async with self._admin() as client:
                described = await client.describe_topics(await client.list_topics())
        except _AWAY:
            return False

        moves = [
            {"topic": topic["topic"], "partition": part["partition"], "replicas": _rotated(part["replicas"])}
            for topic in described
            for part in topic["partitions"]
        ]

        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"version": 1, "partitions": moves}, file)
            file.flush()
            await asyncio.to_thread(self._run_tools, file.name)

        return await self._recovered()

    def _run_tools(self, moves: str) -> None:
        tool = self.cluster.nodes[0].tool
        tool(
            "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
            *("--reassignment-json-file", moves, "--execute"),
        )
        tool("org.apache.kafka.tools.LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")

    async def _add_partitions(self) -> bool:
        """
        Add one to a topic of requests and to its ledger, in either order, and send to it.

        Only where relays come and go: aiokafka looks for new partitions every five minutes, and who joins does at once.
        """
        site = self.chance.choice([site for site in self.sites if site.plan.lanes])
        more = site.sender.partitions + 1
        if more > _MOST_PARTITIONS:
            return True

        topics = [site.here.requests, f"{site.here.requests}.ledger"]
        self.chance.shuffle(topics)

        try:
            async with self._admin() as client:
                there = {one["topic"]: len(one["partitions"]) for one in await client.describe_topics(topics)}
                for topic in topics:
                    if there[topic] < more:
                        await client.create_partitions({topic: admin.NewPartitions(total_count=more)})
        except _AWAY:
            return False

        site.sender.partitions = more
        return True

    # back again

    async def _recovered(self) -> bool:
        """Wait until a relay commits again, and until no replica lags behind; the latter is for the next trouble."""
        began_s = time.monotonic()
        before = {relay: relay.commits for relay in self._relays()}
        await chaos_fleet.until(
            lambda: any(relay.commits > before.get(relay, 0) for relay in self._relays()), _RECOVERY_S
        )
        self.slowest_recovery_s = max(self.slowest_recovery_s, time.monotonic() - began_s)
        until_s = time.monotonic() + _IN_SYNC_S
        while time.monotonic() < until_s and not await self._in_sync():
            await asyncio.sleep(0.5)
        return True

    def _relays(self) -> list[chaos_fleet.Relay]:
        return [relay for site in self.sites for relay in site.fleet.relays]

    async def _in_sync(self) -> bool:
        try:
            async with self._admin() as client:
                described = await client.describe_topics([site.here.events for site in self.sites])
        except _AWAY:
            return False
        return all(len(part["isr"]) == len(part["replicas"]) for topic in described for part in topic["partitions"])

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        client = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=self.cluster.bootstrap, request_timeout_ms=3_000)
        async with asyncio.timeout(_ADMIN_S):
            try:
                await client.start()
                yield client
            finally:
                await client.close()


def _rotated(replicas: Sequence[int]) -> list[int]:
    return [*replicas[1:], replicas[0]]
