"""The OBS of a simulated world: what MRS has written, with slow, failing and missing reads, and away for a while."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from tests.support import chunk_history, history, objects, simulation_logs

from mrs_emulator.core import core
from mrs_emulator.obs import errors as obs_errors
from mrs_emulator.obs import store as stores
from mrs_relay import errors
from mrs_relay.messages import codec
from mrs_relay.obs import paths, settings, transport

PATH = "obs://lake/results"
READ_TIMEOUT_S = 2.0
LATE_ROWS_S = 600.0
FOLDER_LIFE_S = 60.0


class Objects:
    """
    Reads of all replicas.

    Args:
        projects: those that have written objects.
        chance: of troubles.
        away_s: virtual seconds from the beginning for which no read succeeds.
        troubles: counts them.
        logs: those of failed jobs.
    """

    def __init__(
        self,
        projects: Iterable[core.Emulator],
        chance: random.Random,
        away_s: float,
        troubles: Counter[str],
        logs: simulation_logs.Logs,
    ) -> None:
        self.logs = logs
        self._projects = projects
        self._chance = chance
        self._away_s = away_s
        self._troubles = troubles

    def connect(self, group: settings.ObsSettings) -> transport.Transport:
        """Connect as `wiring.opened` does."""
        assert group.region
        return self

    async def open(self, place: paths.Place, keys: transport.Keys) -> transport.OpenObject:
        """Count one read."""
        assert keys.access

        await asyncio.sleep(self._chance.uniform(0.001, 0.1))
        is_away = asyncio.get_running_loop().time() < self._away_s

        luck = self._chance.random() if is_away else 1.0
        if luck < 0.4:
            self._troubles["silent_read"] += 1
            await asyncio.Event().wait()

        if luck < 0.5:
            self._troubles["slow_read"] += 1
            await asyncio.sleep(self._chance.uniform(0, READ_TIMEOUT_S))

        content = self._content(place)
        if not is_away:
            return objects.Object(content, len(content))

        self._troubles["failed_read"] += 1
        if luck < 0.7:
            raise errors.ObsDown("OBS is away")
        if luck < 0.85:
            raise errors.ObsMissing(f"OBS does not have {place} yet")

        return objects.Object(content[:-1], len(content))

    async def listed(self, folder: paths.Place, keys: transport.Keys) -> AsyncIterator[Sequence[transport.Listed]]:
        """Yield one page of what lies below a folder."""
        await self._asked(keys, "failed_listing")
        found = [place.look(folder.bucket, key) for place, key in self._below(folder.key)]
        yield [transport.Listed(one.key, one.size, one.etag) for one in found]

    async def delete(self, bucket: str, names: Sequence[str], keys: transport.Keys) -> None:
        """Count one removal of some objects."""
        await self._asked(keys, "failed_removal")
        for place, key in self._below(""):
            if key in names:
                place.delete(bucket, key)
                self._troubles["removed_object"] += 1

    async def _asked(self, keys: transport.Keys, trouble: str) -> None:
        assert keys.access
        await asyncio.sleep(self._chance.uniform(0.001, 0.1))
        if asyncio.get_running_loop().time() < self._away_s and self._chance.random() < 0.8:
            self._troubles[trouble] += 1
            raise errors.ObsDown("OBS is away")

    def _below(self, prefix: str) -> list[tuple[stores.Store, str]]:
        """Return the keys of all projects' objects below the results, with where they are."""
        found = []
        for mrs in self._projects:
            store = mrs.objects.store
            if any(name == "lake" for name, _ in store.buckets()):
                found += [(store, key) for key in store.walk("lake", prefix)]
        return found

    def left(self) -> list[str]:
        """Return objects in folders that statements have written."""
        return [key for _, key in self._below("results/") if key.split("/")[-2].endswith((".json", ".hive"))]

    async def tail(self, place: paths.Place, keys: transport.Keys, most_bytes: int) -> tuple[bytes, int]:
        """Return the end of the log of a job."""
        assert keys.access
        return await self.logs.tail(place, most_bytes, self._content)

    async def head(self, place: paths.Place, keys: transport.Keys) -> transport.Head:
        """Size of an object that is read in parts."""
        found = await self.open(place, keys)
        return transport.Head(found.size)

    async def part(
        self, place: paths.Place, keys: transport.Keys, head: transport.Head, span: tuple[int, int]
    ) -> AsyncIterator[bytes]:
        """Yield one part."""
        found = await self.open(place, keys)
        assert head.size == found.size
        yield b"".join([piece async for piece in found.chunks()])[span[0] : span[1]]

    async def sign(self, place: paths.Place, keys: transport.Keys, life_s: int) -> str:
        """Return an address that says what it is for."""
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
    """Return rows that are not the statement's, or come twice; announcements of late rows that nothing follows."""
    found: list[str] = []
    announced: Counter[str] = Counter()
    came: Counter[str] = Counter()

    for event in events:
        result: dict[str, Any] = event.data.get("result") or {}
        announced[event.request_id] += "late_until" in result and not event.data.get("repeated")
        came[event.request_id] += event.state == "result"
        for shown in result.get("statements", ()) if event.request_id in bodies else ():
            wanted = _wanted(bodies[event.request_id][1])
            rows = chunk_history.rows_of_statement(shown)
            found += [f"{event.request_id}: rows {rows}, expected {wanted}"] * (rows != [[wanted]])

    found += [
        f"{one}: {times} events of late rows after {announced[one]} announcements"
        for one, times in came.items()
        if times != announced[one]
    ]

    return found


def _wanted(body: bytes) -> str:
    statement: str = codec.decode(body)["data"]["statement"]
    return statement.split("'")[1]
