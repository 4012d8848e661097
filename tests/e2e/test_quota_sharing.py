"""Real replicas on real Kafka share MRS's write quota by what waits: notes beside offsets carry it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.support import brokers, service, waiting

_SETTINGS = {"MRS__BUDGETS": "true", "ENGINE__SLOTS_PER_CLUSTER": "0", "ENGINE__POLL_INTERVAL_S": "20"}


_ENOUGH = 45.0
"""Of the sixty writes a minute; the fixed share of a replica would be a third at most."""
_WINDOWS = 4
"""A busy machine may take some time to share the quota."""


async def _per_minute(mrs: service.Emulator) -> float:
    """Watch for a while how many jobs are created, and return how many that are in a minute."""
    begin_s, begun = time.monotonic(), len(mrs.effects())
    await asyncio.sleep(25)
    return (len(mrs.effects()) - begun) / (time.monotonic() - begin_s) * 60


def _shared(logs: list[str]) -> bool:
    """Return whether each replica has partitions, and one of them coordinates."""
    return all("partition_owned" in log for log in logs) and any("quota_coordinator_started" in log for log in logs)


async def test_one_hot_key_gets_the_quota_of_all_replicas(kafka: brokers.Node, tmp_path: Path) -> None:
    """Three replicas, and all work has one key: its owner submits four times what a quarter of the quota allows."""
    with service.emulator(tmp_path, "--slots", "0", limited=True) as mrs:
        here = service.Deployment(kafka.bootstrap, "shared-quota", mrs.url, tmp_path, more=_SETTINGS)
        here.create_topics(4)
        relays = [here.start_relay(str(number)) for number in range(3)]
        try:
            await waiting.until(lambda: _shared([relay.log.read_text() for relay in relays]))
            await here.send([(service.CLUSTER.encode(), service.job(f"r-{number}")) for number in range(120)])
            await asyncio.sleep(12)  # notes travel, grants follow, and what was saved up is spent
            per_minute = [await _per_minute(mrs)]
            while per_minute[-1] <= _ENOUGH and len(per_minute) < _WINDOWS:
                per_minute.append(await _per_minute(mrs))
        finally:
            for relay in relays:
                relay.kill()

    assert per_minute[-1] > _ENOUGH, per_minute
    assert [relay.log.read_text().count("mrs_throttled") for relay in relays] == [0, 0, 0]

    owned = [relay.log.read_text().count("partition_owned") for relay in relays]
    assert all(owned), "each replica had partitions, so that the quota had to move"
