"""Brokers that the tests of the contract run on, each in turn."""

from __future__ import annotations

import pytest
from tests.contract import broker_places

_KAFKA = pytest.param("kafka", marks=pytest.mark.kafka)
_EMBEDDED = pytest.param("embedded", marks=pytest.mark.embedded)


@pytest.fixture(params=["memory", _KAFKA, _EMBEDDED])
def place(request: pytest.FixtureRequest) -> broker_places.Place:
    """Each broker in turn."""
    name: str = request.param
    if name == "memory":
        return broker_places.place_on(name, "memory", 1_000)
    return broker_places.place_on(name, request.getfixturevalue(name).bootstrap, 6_000 if name == "kafka" else 1_000)


@pytest.fixture(params=["memory", _KAFKA])
def strong(request: pytest.FixtureRequest) -> broker_places.Place:
    """Each broker that knows transactions."""
    name: str = request.param
    return broker_places.place_on(
        name, "memory" if name == "memory" else request.getfixturevalue(name).bootstrap, 6_000
    )
