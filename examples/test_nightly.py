"""How a service is tested without Kafka: the fixture `mrs_relay` comes with the package (needs pytest-asyncio)."""

import nightly
import pytest

from mrs_relay.testing import scripted


@pytest.mark.asyncio
async def test_the_report_has_the_total(mrs_relay: scripted.Relay) -> None:
    """The rows of the job become the report."""
    mrs_relay.will_succeed({"total": 42})
    async with mrs_relay.client("/nightly") as client:
        assert await nightly.report(client, "c-1", "2026-11-24") == "total of 2026-11-24: 42"
    assert mrs_relay.received[0].priority == 7


@pytest.mark.asyncio
async def test_a_failure_is_reported(mrs_relay: scripted.Relay) -> None:
    """The reason reaches the reader."""
    mrs_relay.will_fail(message="out of memory")
    async with mrs_relay.client("/nightly") as client:
        assert "out of memory" in await nightly.report(client, "c-1", "2026-11-24")


@pytest.mark.asyncio
async def test_the_same_day_is_not_run_twice(mrs_relay: scripted.Relay) -> None:
    """The id of a request is its idempotency key."""
    async with mrs_relay.client("/nightly") as client:
        await nightly.report(client, "c-1", "2026-11-24")
        await nightly.report(client, "c-1", "2026-11-24")
    assert len(mrs_relay.received) == 1
