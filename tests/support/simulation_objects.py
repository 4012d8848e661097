"""The OBS of a simulated world: what MRS has written, with slow, failing and missing reads, and away for a while."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from tests.support import history, objects

from mrs_emulator.core import core
from mrs_emulator.obs import errors as obs_errors
from mrs_relay import errors
from mrs_relay.messages import codec
from mrs_relay.obs import paths, settings, transport

PATH = "obs://lake/results"
READ_TIMEOUT_S = 2.0
LATE_ROWS_S = 600.0


class Objects:
    """
    Reads of all replicas.

    Args:
        projects: those that have written objects.
        chance: of troubles.
        away_s: virtual seconds from the beginning for which no read succeeds.
        troubles: counts them.
    """

    def __init__(
        self, projects: Iterable[core.Emulator], chance: random.Random, away_s: float, troubles: Counter[str]
    ) -> None:
        self._projects = projects
        self._chance = chance
        self._away_s = away_s
        self._troubles = troubles

    def connect(self, group: settings.ObsSettings) -> transport.Transport:
        """As `wiring.opened` wants it."""
        assert group.region
        return self

    async def open(self, place: paths.Place, keys: transport.Keys) -> transport.OpenObject:
        """One read."""
        assert keys.access
        await asyncio.sleep(self._chance.uniform(0.001, 0.1))
        is_away = asyncio.get_running_loop().time() < self._away_s
        luck = self._chance.random() if is_away else 1.0
        if is_away and luck < 0.5:
            self._troubles["silent_read"] += 1
            await asyncio.Event().wait()
        content = self._content(place)
        if is_away:
            self._troubles["failed_read"] += 1
            if luck < 0.8:
                raise errors.ObsDown("OBS is away")
            return objects.Object(content[:-1], len(content))
        return objects.Object(content, len(content))

    async def listed(self, folder: paths.Place, keys: transport.Keys) -> AsyncIterator[Sequence[transport.Listed]]:
        """Nothing: no statement of a simulated world writes to a folder."""
        del folder, keys
        await asyncio.sleep(0)
        yield []

    async def delete(self, bucket: str, names: Sequence[str], keys: transport.Keys) -> None:
        """Never, likewise."""
        raise AssertionError(bucket, names, keys)

    async def tail(self, place: paths.Place, keys: transport.Keys, most_bytes: int) -> tuple[bytes, int]:
        """Never: no logs are read in a simulated world."""
        raise AssertionError(place, keys, most_bytes)

    async def head(self, place: paths.Place, keys: transport.Keys) -> transport.Head:
        """Size of an object that is read in parts."""
        found = await self.open(place, keys)
        return transport.Head(found.size)

    async def part(
        self, place: paths.Place, keys: transport.Keys, head: transport.Head, span: tuple[int, int]
    ) -> bytes:
        """One part."""
        found = await self.open(place, keys)
        assert head.size == found.size
        return b"".join([piece async for piece in found.chunks()])[span[0] : span[1]]

    async def sign(self, place: paths.Place, keys: transport.Keys, life_s: int) -> str:
        """An address that says what it is for."""
        assert keys.access
        return f"https://{place.bucket}.obs.test/{place.key}?expires={life_s}"

    def _content(self, place: paths.Place) -> bytes:
        for mrs in self._projects:
            try:
                file, _ = mrs.objects.store.open(place.bucket, place.key)
            except obs_errors.ObsError:
                continue
            with file:
                return file.read()
        raise errors.ObsMissing(f"OBS has no object {place}")


def faults(events: Iterable[history.Seen], bodies: dict[str, tuple[int, bytes]]) -> list[str]:
    """Rows that are not those of the statement, or that come twice; announcements of late rows that nothing follows."""
    found: list[str] = []
    announced: Counter[str] = Counter()
    came: Counter[str] = Counter()
    for event in events:
        result: dict[str, Any] = event.data.get("result") or {}
        announced[event.request_id] += "late_until" in result and not event.data.get("repeated")
        came[event.request_id] += event.state == "result"
        for shown in result.get("statements", ()) if event.request_id in bodies else ():
            wanted = [[_wanted(bodies[event.request_id][1])]]
            found += [f"{event.request_id}: rows {shown['rows']}, expected {wanted}"] * (shown["rows"] != wanted)
    found += [
        f"{one}: {times} events of late rows after {announced[one]} announcements"
        for one, times in came.items()
        if times != announced[one]
    ]
    return found


def _wanted(body: bytes) -> str:
    statement: str = codec.decode(body)["data"]["statement"]
    return statement.split("'")[1]
