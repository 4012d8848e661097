"""Brokers and databases that the tests of the contract run on, each in turn."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.contract import broker_places, read_models
from tests.support import postgres

from mrs_relay.read_model import database, settings

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


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One PostgreSQL for this file; each test empties it."""
    with postgres.running(tmp_path_factory.mktemp("postgres") / "server.log") as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def chosen(request: pytest.FixtureRequest, postgresql: str, tmp_path: pathlib.Path) -> settings.ReadModelSettings:
    """Settings of a database of either kind."""
    address = f"sqlite:///{tmp_path}/web.db" if request.param == "sqlite" else postgresql
    return settings.ReadModelSettings.model_validate({"database": address})


@pytest.fixture
async def opened(chosen: settings.ReadModelSettings) -> AsyncIterator[database.Database]:
    """An empty database."""
    async with database.opened(chosen) as found:
        await read_models.empty(found)
        yield found
