"""Paths of rows are checked once more where they are read: a ledger outlives settings."""

from __future__ import annotations

import asyncio
import types
from typing import Any, cast

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.common import clock
from mrs_relay.engine.execution import deliveries
from mrs_relay.engine.model import jobs


class _Client:
    """A client of OBS that notes what is asked of it."""

    group = types.SimpleNamespace(max_reads=2, max_streams=2, csv_header=False)

    def __init__(self) -> None:
        self.asked: list[object] = []

    def __getattr__(self, name: str) -> Any:
        def call(*given: object) -> None:
            self.asked.append((name, *given))

        return call


@pytest.mark.parametrize(
    "location",
    [
        "obs://lake/results/b/x.csv",
        "obs://lake/results/ab/x.csv",
        "obs://lake/results/ab/",
        "obs://pond/results/a/x.csv",
        "obs://lake/results/a/../b/x.csv",
        "file:///etc/passwd",
    ],
)
@pytest.mark.parametrize("how", [{"inline": True}, {"inline": False}, {"inline": False, "chunks": True}])
def test_path_of_the_ledger_outside_of_its_folder_is_neither_read_nor_signed(
    location: str, how: dict[str, Any]
) -> None:
    """The success says why; no address is made of such a path."""
    delivery = jobs.Delivery("obs://lake/results/a/", signed_s=60, **how)
    job = msgspec.structs.replace(samples.request(state=jobs.State.COLLECTING), delivery=delivery, location=location)
    client = _Client()
    reader = deliveries.Deliveries(cast("Any", client), 1000, clock.SystemClock())
    result = asyncio.run(reader.read(job, None))
    assert client.asked == []
    assert result.url is None
    assert (result.location, result.statements, result.chunks) == (location, [], None)
    assert "unavailable" in result.model_fields_set or not delivery.inline
