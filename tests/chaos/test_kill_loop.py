"""The kill loop in small: each kind of trouble once, on real Kafka with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import chaos, chaos_report, chaos_web, history

_COUNT = 42
"""So many that each trouble of relays and of MRS comes once; `make chaos` plays more."""

_COUNT_WITH_WEB = 15
"""So many that each trouble of replicas of `mrs-relay web` comes once."""


@pytest.mark.kafka
@pytest.mark.timeout(900)
async def test_each_trouble_of_relays_and_mrs_loses_doubles_and_repeats_nothing(tmp_path: Path) -> None:
    """Relays and the broker are killed and frozen, replies are lost: every request ends in one job and one story."""
    found = await chaos.play(_COUNT, tmp_path, 1, chaos.Options(names=["short"]))
    assert list(found.faults) == [], f"{found.table}\nlogs and history are in {tmp_path}"
    assert found.numbers["troubles in all"] == _COUNT


@pytest.mark.kafka
@pytest.mark.timeout(600)
async def test_troubles_on_three_brokers_lose_double_and_repeat_nothing(tmp_path: Path) -> None:
    """Brokers and links fail as well; relays with default settings outlive it all without help."""
    found = await chaos.play(8, tmp_path, 1, chaos.Options(size=3, names=["short", "calm"]))
    assert list(found.faults) == [], f"{found.table}\nlogs and history are in {tmp_path}"
    assert found.numbers["troubles in all"] == 8
    assert found.numbers["relays that ended by themselves"] == 0
    assert found.delays["calm"][0].count > 0


@pytest.mark.kafka
@pytest.mark.timeout(600)
async def test_a_stream_of_events_outlives_the_kills_of_relays_and_of_replicas_that_serve_it(tmp_path: Path) -> None:
    """The reader changes from replica to replica, and gets each event once and in order."""
    found = await chaos.play(_COUNT_WITH_WEB, tmp_path, 1, chaos.Options(names=["short"], web="sqlite"))
    assert list(found.faults) == [], f"{found.table}\nlogs and history are in {tmp_path}"
    assert found.numbers[chaos_web.KILLED] > 0
    assert found.numbers["events delivered by the stream"] >= found.numbers["events"]


def test_the_table_counts_what_is_lost_doubled_missing_and_repeated() -> None:
    """The numbers that must be 0 are not 0 when something is wrong."""

    def event(request_id: str, state: str, sequence: int) -> history.Seen:
        return history.Seen(request_id, state, sequence, f"{request_id}-{sequence}", {})

    events = [event("a", "accepted", 1), event("a", "succeeded", 3), event("a", "succeeded", 3)]
    counted = chaos_report.counts(["a", "b"], events, ["job-1", "job-1"])
    assert counted == {"lost": 1, "doubled": 1, "gaps": 1, "repeats": 1}
