"""Folders of rows that are removed: what goes, and that nothing else ever does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine import samples

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine.execution import deliveries
from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import row_folders
from mrs_relay.messages import events
from mrs_relay.obs import client, paths, settings, transport

RESULTS = "obs://lake/results/a/"
KEYS = transport.OwnKeys("k", pydantic.SecretStr("s"))
JOB = msgspec.structs.replace(
    samples.request(state=jobs.State.SUCCEEDED), attempt=2, delivery=jobs.Delivery(RESULTS), work=None
)
OWN = [one.key for one in row_folders.folders(JOB)]
OTHER = [one.key for one in row_folders.folders(msgspec.structs.replace(JOB, id="another"))]

_NAMES = st.sampled_from(
    [
        "part-00000-x-c000.json",
        "_SUCCESS",
        "000000_0",
        "_temporary/0/part-0",
        "notes.txt",
        "sub/part-0",
        "0_0/x",
    ]
)
_PLACES = st.sampled_from([*OWN, *OTHER, "results/a/", "results/b/", "", OWN[0].rstrip("/") + "0/", "x/" + OWN[0]])
_BUCKETS = st.sampled_from(["lake", "pond"])


@dataclass
class Bucket:
    """Objects that lie in memory; listings have more than what was asked for."""

    objects: set[tuple[str, str]]
    deleted: list[tuple[str, str]] = field(default_factory=list)

    async def listed(self, folder: paths.Place, keys: transport.Keys) -> AsyncIterator[Sequence[transport.Listed]]:
        """As a server that takes a prefix for more than it is."""
        del keys
        yield [transport.Listed(key, 1, "") for bucket, key in sorted(self.objects) if bucket == folder.bucket]

    async def delete(self, bucket: str, names: Sequence[str], keys: transport.Keys) -> None:
        """Remove them."""
        del keys
        for name in names:
            self.objects.discard((bucket, name))
            self.deleted.append((bucket, name))

    async def open(self, place: paths.Place, keys: transport.Keys) -> transport.OpenObject:
        """Never."""
        raise AssertionError(place, keys)

    async def head(self, place: paths.Place, keys: transport.Keys) -> transport.Head:
        """Never."""
        raise AssertionError(place, keys)

    def part(
        self, place: paths.Place, keys: transport.Keys, head: transport.Head, span: tuple[int, int]
    ) -> AsyncIterator[bytes]:
        """Never."""
        raise AssertionError(place, keys, head, span)

    async def tail(self, place: paths.Place, keys: transport.Keys, most_bytes: int) -> tuple[bytes, int]:
        """Never."""
        raise AssertionError(place, keys, most_bytes)

    async def sign(self, place: paths.Place, keys: transport.Keys, life_s: int) -> str:
        """Never."""
        raise AssertionError(place, keys, life_s)


def removed(door: Bucket, job: jobs.Job = JOB) -> int:
    """Remove a job's rows."""
    group = settings.ObsSettings(endpoint="http://obs.test")
    reader = deliveries.Deliveries(client.Client(group, door, lambda: KEYS), 1000, clock.SystemClock())
    return asyncio.run(reader.remove(job))


@given(st.sets(st.tuples(_BUCKETS, st.builds(str.__add__, _PLACES, _NAMES)), max_size=20))
def test_no_foreign_object_is_ever_removed(objects: set[tuple[str, str]]) -> None:
    """Of all objects only those in folders of this job's attempts, with names that engines give; and all of these."""
    door = Bucket(set(objects))
    count = removed(door)
    own = {
        (bucket, key)
        for bucket, key in objects
        if bucket == "lake" and key.startswith(tuple(OWN)) and not key.endswith(("notes.txt", "sub/part-0", "0_0/x"))
    }
    assert door.objects == objects - own
    assert (set(door.deleted), count) == (own, len(own))


class Changing:
    """Two objects of JSON; the first one is another one at the second listing, as often as ordered."""

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.size = len(b'{"a":1}\n')

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its content."""
        yield b'{"a":1}\n'

    async def listed(self, folder: paths.Place, keys: transport.Keys) -> AsyncIterator[Sequence[transport.Listed]]:
        """Both."""
        del keys
        self.changes -= 1
        yield [
            transport.Listed(f"{folder.key}{number:06}_0", self.size, str(max(0, self.changes))) for number in (1, 0)
        ]

    async def open(self, place: paths.Place, keys: transport.Keys) -> transport.OpenObject:
        """One read."""
        del place, keys
        return self

    async def delete(self, bucket: str, names: Sequence[str], keys: transport.Keys) -> None:
        """Never."""
        raise AssertionError(bucket, names, keys)

    async def head(self, place: paths.Place, keys: transport.Keys) -> transport.Head:
        """Never."""
        raise AssertionError(place, keys)

    def part(
        self, place: paths.Place, keys: transport.Keys, head: transport.Head, span: tuple[int, int]
    ) -> AsyncIterator[bytes]:
        """Never."""
        raise AssertionError(place, keys, head, span)

    async def tail(self, place: paths.Place, keys: transport.Keys, most_bytes: int) -> tuple[bytes, int]:
        """Never."""
        raise AssertionError(place, keys, most_bytes)

    async def sign(self, place: paths.Place, keys: transport.Keys, life_s: int) -> str:
        """Never."""
        raise AssertionError(place, keys, life_s)


def test_objects_that_change_while_they_are_read_bring_no_rows() -> None:
    """They are read again as a whole: rows of two writers never come mixed."""

    def read(door: Changing) -> events.Result:
        group = settings.ObsSettings(endpoint="http://obs.test")
        reader = deliveries.Deliveries(client.Client(group, door, lambda: KEYS), 1000, clock.SystemClock())
        wanted = jobs.Delivery(RESULTS, max_rows=10, max_bytes=1000)
        job = msgspec.structs.replace(JOB, delivery=wanted, location=RESULTS + "mr0123456789abcd-1.json/")
        return asyncio.run(reader.read(job, None))

    with pytest.raises(errors.ObsDown, match="changed while they were read"):
        read(Changing(3))
    assert read(Changing(0)).statements[0].rows == [{"a": 1}, {"a": 1}]


def test_job_that_wrote_nothing_removes_nothing() -> None:
    """It was never sent, or has no delivery."""
    door = Bucket({("lake", OWN[0] + "000000_0")})
    assert removed(door, msgspec.structs.replace(JOB, attempt=0)) == 0
    assert removed(door, msgspec.structs.replace(JOB, delivery=None)) == 0
    assert door.deleted == []
