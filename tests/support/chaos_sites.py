"""
The deployments of the kill loop, side by side on one Kafka and one MRS, each with requests and relays of its own.

    short      short sessions, so that takeovers are quick and many; its relays are killed and frozen
    default    the relay's own Kafka settings, as users run it; its relays are killed, each takeover takes its time
    calm       the same settings, and its relays are left alone: what Kafka's and the network's troubles alone cost
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import chaos_delays, chaos_fleet, chaos_traffic, chaos_troubles, service

from mrs_relay.kafka import settings

PARTITIONS = 6
_RATE = 2.0
_OF_OBS = {
    "RESULTS__PATH": "obs://lake/results",
    "RESULTS__FOLDER_LIFE_S": "20",
    "OBS__PATH_STYLE": "true",
    "OBS__READ_TIMEOUT_S": "5",
    "CAUSES__PATH": chaos_traffic.LOGS,
    "CAUSES__WITHIN_S": "10",
}
_OF_ENGINE = {
    "ENGINE__SLOTS_PER_CLUSTER": "0",
    "ENGINE__SEND_WITHIN_S": "1",
    "ENGINE__SETTLE_S": str(chaos_troubles.SETTLE_S),
    "ENGINE__VISIBILITY_S": "1.5",
    "ENGINE__KILL_AGAIN_S": "2",
    "ENGINE__CANCEL_WAIT_S": "20",
    "MRS__CALL_TIMEOUT_S": "1.5",
    "KAFKA__PARTITIONS": str(PARTITIONS),
}
_SHORT = {
    "KAFKA__SESSION_TIMEOUT_MS": str(round(chaos_troubles.SESSION_S * 1000)),
    "KAFKA__HEARTBEAT_INTERVAL_MS": "300",
    "KAFKA__REBALANCE_TIMEOUT_MS": "6000",
    "KAFKA__JOIN_REQUEST_TIMEOUT_MS": "40000",
    "KAFKA__REQUEST_TIMEOUT_MS": "3000",
    "KAFKA__COMMIT_TIMEOUT_S": "6",
    "KAFKA__TRANSACTION_TIMEOUT_MS": "8000",
    "KAFKA__RETRY_FIRST_S": "0.2",
    "KAFKA__RETRY_MOST_S": "2",
}


def _defaults() -> dict[str, str]:
    """Return what the relay's Kafka settings are when they are not set, for all that some deployment here sets."""
    fields = settings.KafkaSettings.model_fields
    names = ["KAFKA__SHUTDOWN_S", *_SHORT]
    return {name: str(fields[name.removeprefix("KAFKA__").lower()].default) for name in names}


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What a site is made of.

    Attributes:
        relays: how many.
        lanes: how many of its relays may be in trouble at once; 0: none is touched.
        weight: its part of the troubles of relays.
        mostly_killed: whether its relays are hardly ever frozen or ended in order.
        point_s: longest wait for a relay that is to die at a point.
        kafka: the settings of its relays.
        heading: what it is, for people.
    """

    name: str
    relays: int
    lanes: int
    weight: int
    mostly_killed: bool
    point_s: float
    kafka: Mapping[str, str]
    heading: str


PLANS = {
    "short": Plan("short", 3, 2, 72, False, 20.0, _SHORT, "short Kafka settings, relays killed"),
    "default": Plan("default", 4, 3, 28, True, 60.0, _defaults(), "default Kafka settings, relays killed"),
    "calm": Plan("calm", 2, 0, 0, False, 0.0, _defaults(), "default Kafka settings, relays left alone"),
}


@dataclass(eq=False)
class Site:
    """One deployment with all that belongs to it."""

    plan: Plan
    here: service.Deployment
    fleet: chaos_fleet.Fleet
    sender: chaos_traffic.Sender
    reader: chaos_traffic.Reader
    tail: chaos_delays.Tail

    @property
    def waits(self) -> chaos_delays.Waits:
        """How long its requests waited."""
        return chaos_delays.waits(self.sender.acknowledged, self.tail)

    async def whole(self) -> bool:
        """Read on; whether every request has ended and the ledger is at the end of its input."""
        await self.reader.read_on()
        return self.reader.ended >= self.sender.sent.keys() and not (await self.reader.ledger())[1]


@dataclass(eq=False)
class Ground:
    """Where sites are built: see `play` of `chaos`."""

    bootstrap: str
    links: Sequence[str]
    mrs: service.Emulator
    workdir: Path
    guarantee: str
    chance: random.Random
    count: Counter[str]
    obs: str
    rate: float = _RATE

    def build(self, plan: Plan) -> Site:
        """Build a site; its topics and relays do not exist yet."""
        name = f"chaos-{plan.name}"
        obs = {"OBS__ENDPOINT": self.obs, "KAFKA__TOPICS__RESULTS": chaos_traffic.results_of(name), **_OF_OBS}
        more = {**_OF_ENGINE, **obs, **plan.kafka}
        here = service.Deployment(self.bootstrap, name, self.mrs.url, self.workdir, self.guarantee, more=more)
        relays = chaos_fleet.Group(plan.name, plan.relays, here.environment(), self.links)
        fleet = chaos_fleet.Fleet(relays, self.workdir, self.chance, self.count)
        sender = chaos_traffic.Sender(here, self.chance, self.count, self.rate, PARTITIONS)
        reader = chaos_traffic.Reader(here, self.workdir / f"events-{plan.name}.jsonl")
        return Site(plan, here, fleet, sender, reader, chaos_delays.Tail(here))
