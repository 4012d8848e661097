"""How an object is streamed, whatever the way to OBS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pydantic

from mrs_relay.obs import client, paths, settings, transport

PLACE = paths.parse("obs://lake/results/rows.csv")
MEBIBYTE = 1 << 20


@dataclass(eq=False)
class LargeObject:
    """An object of 64 MiB, whose parts are here at once."""

    asked: list[int] = field(default_factory=list)

    async def open(self, place: paths.Place, keys: transport.Keys) -> transport.OpenObject:
        """Fail: not used."""
        raise NotImplementedError

    async def head(self, _place: paths.Place, _keys: transport.Keys) -> transport.Head:
        """Return its size."""
        return transport.Head(64 * MEBIBYTE, "tag")

    async def part(
        self, _place: paths.Place, _keys: transport.Keys, _head: transport.Head, span: tuple[int, int]
    ) -> AsyncIterator[bytes]:
        """Yield one part."""
        self.asked.append(span[1] - span[0])
        for _ in range(*span, MEBIBYTE):
            yield bytes(MEBIBYTE)

    def listed(self, folder: paths.Place, keys: transport.Keys) -> AsyncIterator[Sequence[transport.Listed]]:
        """Fail: not used."""
        raise NotImplementedError

    async def delete(self, bucket: str, names: Sequence[str], keys: transport.Keys) -> None:
        """Fail: not used."""
        raise NotImplementedError

    async def tail(self, place: paths.Place, keys: transport.Keys, most_bytes: int) -> tuple[bytes, int]:
        """Fail: not used."""
        raise NotImplementedError

    async def sign(self, place: paths.Place, keys: transport.Keys, life_s: int) -> str:
        """Fail: not used."""
        raise NotImplementedError


async def test_few_parts_of_an_object_are_read_ahead() -> None:
    """While a part is used the next ones are read; memory holds no more than them, whatever the size of the object."""
    large = LargeObject()
    keys = transport.OwnKeys("ak", pydantic.SecretStr("sk"))
    size = 0
    async for part in client.Client(settings.ObsSettings(), large, lambda: keys).stream(PLACE):
        size += len(part)
        for _ in range(10):
            await asyncio.sleep(0)
        ahead = sum(large.asked) - size
        assert ahead <= 20 * MEBIBYTE
        assert ahead >= 4 * MEBIBYTE or size + ahead == 64 * MEBIBYTE
    assert size == 64 * MEBIBYTE
