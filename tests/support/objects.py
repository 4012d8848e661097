"""The way to the emulator's OBS without sockets, in virtual time: what the relay reads and removes, and trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from mrs_emulator.core import core
from mrs_emulator.obs import errors as obs_errors
from mrs_relay import errors
from mrs_relay.obs import paths, settings, transport

LATENCY_S = 0.02
PIECE_BYTES = 7


@dataclass(frozen=True)
class Object:
    """An object that is read; `size` is what its head says."""

    content: bytes
    size: int

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield small pieces, so that characters and rows are cut anywhere."""
        for start in range(0, len(self.content), PIECE_BYTES):
            await asyncio.sleep(0)
            yield self.content[start : start + PIECE_BYTES]


@dataclass(eq=False)
class ObjectDoor:
    """
    Reads from the folder that plays OBS.

    Attributes:
        mrs: the emulator that has it.
        opened: the place of every read that began.
        silent: so many of the next reads are never answered.
        absent: so many do not find their object.
        broken: so many end early.
        parts: the spans of all parts that were read.
        lost_part: after so many parts one is not read, once; -1: none.
        listings: the folder of every listing.
        deleted: the key of every object that was removed.
        failing: so many of the next listings and removals fail.
    """

    mrs: core.Emulator
    opened: list[str] = field(default_factory=list)
    silent: int = 0
    absent: int = 0
    broken: int = 0
    parts: list[tuple[int, int]] = field(default_factory=list)
    lost_part: int = -1
    listings: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    failing: int = 0

    def connect(self, group: settings.ObsSettings) -> transport.Transport:
        """Connect as `wiring.opened` does."""
        assert group.region
        return self

    async def open(self, place: paths.Place, keys: transport.Keys) -> transport.OpenObject:
        """Count one read."""
        assert keys.access
        await self.mrs.settle_objects()
        self.opened.append(str(place))
        return Object(*await self._found(place))

    async def _found(self, place: paths.Place) -> tuple[bytes, int]:
        await asyncio.sleep(LATENCY_S)
        if self.silent:
            self.silent -= 1
            await asyncio.Event().wait()
        if self.absent:
            self.absent -= 1
            raise errors.ObsMissing(f"OBS has no object {place}")

        try:
            file, found = self.mrs.objects.store.open(place.bucket, place.key)
        except obs_errors.ObsError as error:
            raise errors.ObsMissing(str(error)) from error
        with file:
            content = file.read()
        if self.broken:
            self.broken -= 1
            content = content[:-1]
        return content, found.size

    async def head(self, place: paths.Place, keys: transport.Keys) -> transport.Head:
        """Return the size, for a read in parts."""
        assert keys.access
        content, size = await self._found(place)
        return transport.Head(size, str(len(content)))

    async def part(
        self, place: paths.Place, keys: transport.Keys, head: transport.Head, span: tuple[int, int]
    ) -> AsyncIterator[bytes]:
        """Yield a part; the troubles are those of `open`."""
        assert keys.access
        assert head.tag
        content, _ = await self._found(place)
        if len(self.parts) == self.lost_part:
            self.lost_part = -1
            raise errors.ObsDown("the connection was lost")
        self.parts.append(span)
        yield content[span[0] : span[1]]

    async def listed(self, folder: paths.Place, keys: transport.Keys) -> AsyncIterator[Sequence[transport.Listed]]:
        """Yield all pages of one listing, of a few objects each."""
        assert keys.access
        self.listings.append(str(folder))
        await asyncio.sleep(LATENCY_S)
        self._fail()
        store = self.mrs.objects.store
        try:
            found = [store.look(folder.bucket, key) for key in store.walk(folder.bucket, folder.key)]
        except obs_errors.ObsError as error:
            raise errors.ObsMissing(str(error)) from error
        for start in range(0, len(found), PIECE_BYTES):
            yield [transport.Listed(one.key, one.size, one.etag) for one in found[start : start + PIECE_BYTES]]

    async def delete(self, bucket: str, names: Sequence[str], keys: transport.Keys) -> None:
        """Count one removal of some objects."""
        assert keys.access
        await asyncio.sleep(LATENCY_S)
        self._fail()
        for name in names:
            self.mrs.objects.store.delete(bucket, name)
            self.deleted.append(name)

    def _fail(self) -> None:
        if self.failing:
            self.failing -= 1
            raise errors.ObsDown("OBS did not answer, as ordered")

    async def tail(self, place: paths.Place, keys: transport.Keys, most_bytes: int) -> tuple[bytes, int]:
        """Return the end of an object, with the same troubles."""
        found = await self.open(place, keys)
        content = b"".join([piece async for piece in found.chunks()])
        return content[-most_bytes:], found.size

    async def sign(self, place: paths.Place, keys: transport.Keys, life_s: int) -> str:
        """Return an address that says what it is for."""
        assert keys.access
        return f"https://{place.bucket}.obs.test/{place.key}?expires={life_s}"
