"""What the HTTP servers of all roles share."""

from __future__ import annotations

import prometheus_client
from aiohttp import test_utils
from tests.support import turns

from mrs_relay.common import http_server

_FAMILIES = 8


async def test_metrics_leave_the_event_loop_to_others_between_two_of_them() -> None:
    """With hundreds of tenants all of them together take long."""
    registry = prometheus_client.CollectorRegistry()
    for number in range(_FAMILIES):
        prometheus_client.Gauge(f"of_{number}", "A number.", ["tenant"], registry=registry).labels("a").set(number)
    async with turns.counted() as others:
        reply = await http_server.metrics(test_utils.make_mocked_request("GET", "/metrics"), registry)
    assert others.count >= _FAMILIES
    assert reply.body == prometheus_client.generate_latest(registry)
