"""Folders of rows that are removed: what goes, and that nothing else ever does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec
import pydantic
import pytest
from hypothesis import example, given
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

FOREIGN = {"notes.txt", "sub/part-0", "0_0/x", "sub/"}
_NAMES = st.sampled_from(
    [
        "part-00000-x-c000.json",
        "_SUCCESS",
        "000000_0",
        "_temporary/0/part-0",
        "_temporary/",
        "_temporary/0/",
        "HIVE_UNION_SUBDIR_1/",
        "part-0/",
        "",
        *sorted(FOREIGN),
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
        """List as a server that takes a prefix for more than it is, by a library that drops slashes at the end."""
        del keys
        found = [key for bucket, key in sorted(self.objects) if bucket == folder.bucket]
        yield [transport.Listed(key.removesuffix("/"), 0 if key.endswith("/") else 1, "") for key in found]

    async def delete(self, bucket: str, names: Sequence[str], keys: transport.Keys) -> None:
        """Remove them."""
        del keys
        for name in names:
            self.objects.discard((bucket, name))
            self.deleted.append((bucket, name))

    async def open(self, place: paths.Place, keys: transport.Keys) -> transport.OpenObject:
        """Fail: never called."""
        raise AssertionError(place, keys)

    async def head(self, place: paths.Place, keys: transport.Keys) -> transport.Head:
        """Fail: never called."""
        raise AssertionError(place, keys)

    def part(
        self, place: paths.Place, keys: transport.Keys, head: transport.Head, span: tuple[int, int]
    ) -> AsyncIterator[bytes]:
        """Fail: never called."""
        raise AssertionError(place, keys, head, span)

    async def tail(self, place: paths.Place, keys: transport.Keys, most_bytes: int) -> tuple[bytes, int]:
        """Fail: never called."""
        raise AssertionError(place, keys, most_bytes)

    async def sign(self, place: paths.Place, keys: transport.Keys, life_s: int) -> str:
        """Fail: never called."""
        raise AssertionError(place, keys, life_s)


def removed(door: Bucket, job: jobs.Job = JOB) -> int:
    """Remove a job's rows."""
    group = settings.ObsSettings(endpoint="http://obs.test")
    reader = deliveries.Deliveries(client.Client(group, door, lambda: KEYS), 1000, clock.SystemClock())
    return asyncio.run(reader.remove(job))


@given(st.sets(st.tuples(_BUCKETS, st.builds(str.__add__, _PLACES, _NAMES)), max_size=20))
@example({("lake", OWN[0] + name) for name in ("", "part-00000-x-c000.json", "notes.txt")})
def test_no_foreign_object_is_ever_removed(objects: set[tuple[str, str]]) -> None:
    """Of all objects only those in folders of this job's attempts, with names that engines give; and all of these."""
    door = Bucket(set(objects))
    count = removed(door)
    lake = {key for bucket, key in objects if bucket == "lake"}
    own = {("lake", key) for folder in OWN for key in _written(folder, lake)}
    assert door.objects == objects - own
    assert len(door.deleted) == len(set(door.deleted)) == count
    assert own <= set(door.deleted)
    assert all(bucket == "lake" and key.startswith(tuple(OWN)) for bucket, key in door.deleted)


def _written(folder: str, objects: set[str]) -> set[str]:
    """Return what engines have written to a folder; its own object only if nothing else is left there."""
    below = {key.removeprefix(folder) for key in objects if key.startswith(folder)}
    own = below - FOREIGN - {"", "part-0/"}
    return {folder + name for name in (own | ({""} & below) if not below & FOREIGN else own)}


class Changing:
    """Two objects of JSON; the first one is another one at the second listing, as often as ordered."""

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.size = len(b'{"a":1}\n')

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield its content."""
        yield b'{"a":1}\n'

    async def listed(self, folder: paths.Place, keys: transport.Keys) -> AsyncIterator[Sequence[transport.Listed]]:
        """Yield both."""
        del keys
        self.changes -= 1
        yield [
            transport.Listed(f"{folder.key}{number:06}_0", self.size, str(max(0, self.changes))) for number in (1, 0)
        ]

    async def open(self, place: paths.Place, keys: transport.Keys) -> transport.OpenObject:
        """Count one read."""
        del place, keys
        return self

    async def delete(self, bucket: str, names: Sequence[str], keys: transport.Keys) -> None:
        """Fail: never called."""
        raise AssertionError(bucket, names, keys)

    async def head(self, place: paths.Place, keys: transport.Keys) -> transport.Head:
        """Fail: never called."""
        raise AssertionError(place, keys)

    def part(
        self, place: paths.Place, keys: transport.Keys, head: transport.Head, span: tuple[int, int]
    ) -> AsyncIterator[bytes]:
        """Fail: never called."""
        raise AssertionError(place, keys, head, span)

    async def tail(self, place: paths.Place, keys: transport.Keys, most_bytes: int) -> tuple[bytes, int]:
        """Fail: never called."""
        raise AssertionError(place, keys, most_bytes)

    async def sign(self, place: paths.Place, keys: transport.Keys, life_s: int) -> str:
        """Fail: never called."""
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


def test_folder_with_nothing_but_its_own_object_has_no_rows_yet() -> None:
    """The rows are awaited, as where OBS lists nothing."""
    group = settings.ObsSettings(endpoint="http://obs.test")
    objects = client.Client(group, Bucket({("lake", OWN[0])}), lambda: KEYS)
    job = msgspec.structs.replace(JOB, location=f"obs://lake/{OWN[0]}")
    with pytest.raises(errors.ObsMissing, match="no object below"):
        asyncio.run(deliveries.Deliveries(objects, 1000, clock.SystemClock()).read(job, None))


def test_job_that_wrote_nothing_removes_nothing() -> None:
    """It was never sent, or has no delivery."""
    door = Bucket({("lake", OWN[0] + "000000_0")})
    assert removed(door, msgspec.structs.replace(JOB, attempt=0)) == 0
    assert removed(door, msgspec.structs.replace(JOB, delivery=None)) == 0
    assert door.deleted == []


def test_objects_that_stand_for_folders_are_removed_after_what_is_in_them() -> None:
    """The deepest first, and that of the folder itself last: so no folder is left behind."""
    names = ["", "part-0", "_temporary/", "_temporary/0/", "_temporary/0/part-1", "HIVE_UNION_SUBDIR_1/"]
    door = Bucket({("lake", OWN[0] + name) for name in names})
    removed(door)
    assert door.objects == set()
    left = [key.removeprefix(OWN[0]) for _, key in door.deleted if key.removeprefix(OWN[0]) in names]
    assert left == ["_temporary/0/part-1", "part-0", "_temporary/0/", "HIVE_UNION_SUBDIR_1/", "_temporary/", ""]
