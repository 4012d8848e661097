"""
Replicas of `mrs-relay web` in the kill loop: killed, frozen and ended under one reader of their stream of events.

The reader changes to the other replica whenever its stream breaks off. In the end it must have got each event of the
topic once, each request's in order, and each replica must show every request in the state of its last event.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
from tests.support import chaos_fleet, chaos_troubles, child, history, postgres, service, web_replicas

KILLED = "web replicas killed"
_REPLICAS = 2
_READY_S = 60.0
_END_S = 120.0
_FREEZE_S = (web_replicas.LEASE_S + 0.5, 8.0)
"""Longer than the lease, so that the other replica takes the writing over; longer than the reader waits, at times."""


@dataclass(eq=False)
class WebSide:
    """
    The replicas and their reader.

    Args:
        files: the database of each replica; empty: they share one.
    """

    replicas: Sequence[web_replicas.Replica]
    files: Sequence[Path]
    session: aiohttp.ClientSession
    reader: web_replicas.StreamReader
    chance: random.Random
    count: Counter[str]
    found: list[str]

    def kinds(self) -> Mapping[str, tuple[chaos_troubles.Trouble, int]]:
        """Name -> the trouble and its weight."""
        kinds: dict[str, tuple[chaos_troubles.Trouble, int]] = {
            "web replica SIGKILL": (partial(self._kill, 1), 8),
            "web replicas SIGKILL, both": (partial(self._kill, _REPLICAS), 2),
            "web replica SIGSTOP": (self._freeze, 2),
            "web replica SIGTERM": (self._end, 1),
            "web reader moves": (self._move, 1),
        }
        if self.files:
            kinds["web replica SIGKILL, its database lost"] = (partial(self._kill, 1, forgets=True), 2)
        return kinds

    async def start(self) -> None:
        """Start the replicas and wait until they answer."""
        for one in self.replicas:
            await asyncio.to_thread(one.start)
        for one in self.replicas:
            await one.ready(self.session)

    async def finish(self, events: Sequence[history.Seen]) -> list[str]:
        """Wait until reader and replicas have everything; returns what is wrong, a line each."""
        published = {event.event_id for event in events}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                while {one.event_id for one in self.reader.delivered} != published:
                    await asyncio.sleep(0.5)

        self.count["events delivered by the stream"] = len(self.reader.delivered)
        self.count["times that the reader of the stream moved"] = self.reader.moves
        found = [*self.found, *self.reader.faults, *_stream_faults(self.reader.delivered, published)]
        states = {event.request_id: event.state for event in events if not event.data.get("repeated")}

        for one in self.replicas:
            found += await self._page_faults(one, {name: states[name] for name in states if name.startswith("r-")})
            with contextlib.suppress(child.ChildFailed):  # it did not end in time: its code is none then
                if await asyncio.to_thread(one.stop) == 0:
                    continue
            found.append(f"{one.log.stem} did not end in order: {chaos_fleet.last_error(one.log)}")

        return found

    def _one(self) -> web_replicas.Replica:
        """Return a replica, mostly the one that the reader reads; one that has ended by itself is a fault."""
        for one in self.replicas:
            if not one.alive:
                self.found.append(f"{one.log.stem} ended by itself: {chaos_fleet.last_error(one.log)}")
                one.start()
        return self.reader.replica if self.chance.random() < 0.7 else self.chance.choice(self.replicas)

    async def _kill(self, number: int, *, forgets: bool = False) -> bool:
        first = self._one()
        chosen = [first, *(one for one in self.replicas if one is not first)][:number]
        for one in chosen:
            await asyncio.to_thread(one.kill)
            self.count[KILLED] += 1
        for one in chosen:
            if forgets:
                file = self.files[self.replicas.index(one)]
                for path in file.parent.glob(f"{file.name}*"):
                    path.unlink()
            await asyncio.to_thread(one.start)
        await self._until_ready(chosen)
        return True

    async def _freeze(self) -> bool:
        one = self._one()
        one.send(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(*_FREEZE_S))
        one.send(signal.SIGCONT)
        return True

    async def _end(self) -> bool:
        one = self._one()
        code = await asyncio.to_thread(one.stop)
        if code != 0:
            self.found.append(f"{one.log.stem} answered SIGTERM with {code}: {chaos_fleet.last_error(one.log)}")
        await asyncio.to_thread(one.start)
        await self._until_ready([one])
        return True

    async def _move(self) -> bool:
        before = self.reader.moves
        self.reader.leave()
        return await chaos_fleet.until(lambda: self.reader.moves > before, _READY_S)

    async def _until_ready(self, chosen: Sequence[web_replicas.Replica]) -> None:
        """Wait for them, as an orchestrator does before it touches the next one; Kafka may be away meanwhile."""
        with contextlib.suppress(TimeoutError, child.ChildFailed):
            for one in chosen:
                await one.ready(self.session, _READY_S)

    async def _page_faults(self, one: web_replicas.Replica, states: Mapping[str, str]) -> list[str]:
        """Compare what a replica shows with the last events, once it has read them."""
        shown: Mapping[str, str] = {}
        try:
            async with asyncio.timeout(_END_S):
                await one.ready(self.session, _END_S)
                while (shown := await self._shown(one)) != states:
                    await asyncio.sleep(0.5)
        except (TimeoutError, child.ChildFailed, aiohttp.ClientError) as error:
            wrong = sorted(name for name in {**states, **shown} if states.get(name) != shown.get(name))
            return [
                f"{one.log.stem} shows {name} as {shown.get(name)}, not {states.get(name)} ({error!r})"
                for name in wrong
            ]
        return []

    async def _shown(self, one: web_replicas.Replica) -> dict[str, str]:
        """Return the state of every request that a replica shows."""
        found: dict[str, str] = {}
        query = {"limit": "200"}
        while True:
            async with self.session.get(f"{one.url}/v1/requests", params=query) as response:
                page = await response.json()
            found |= {row["id"]: row["state"] for row in page["items"] if row["id"].startswith("r-")}
            if page.get("next") is None:
                return found
            query["cursor"] = page["next"]


def _stream_faults(delivered: Sequence[web_replicas.Delivery], published: set[str]) -> list[str]:
    """Return what a reader has lost, got twice, or got in the wrong order."""
    times = Counter(one.event_id for one in delivered)
    found = [f"the stream lost event {event_id}" for event_id in sorted(published - times.keys())]
    found += [f"the stream made up event {event_id}" for event_id in sorted(times.keys() - published)]
    found += [f"the stream brought event {event_id} {number} times" for event_id, number in times.items() if number > 1]
    stories: dict[str, list[int]] = defaultdict(list)
    for one in delivered:
        if one.request_id.startswith("r-"):
            stories[one.request_id].append(one.sequence)
    found += [
        f"the stream brought events of {name} in the order {numbers}"
        for name, numbers in stories.items()
        if numbers != sorted(numbers)
    ]
    return found


@contextlib.asynccontextmanager
async def prepared(
    kind: str,
    here: service.Deployment,
    links: Sequence[str],
    chance: random.Random,
    count: Counter[str],
) -> AsyncIterator[WebSide]:
    """
    Prepare two replicas, not started, and their reader.

    Args:
        kind: sqlite, a file for each replica; or postgresql, which they share.
        here: whose topics they read.
        links: addresses of Kafka; replicas get them in turn.
        chance: of the troubles.
        count: what happened.
    """
    async with contextlib.AsyncExitStack() as stack:
        files = [here.workdir / f"web-{number}.db" for number in range(_REPLICAS if kind == "sqlite" else 0)]
        databases = [f"sqlite:///{file}" for file in files]
        if kind == "postgresql":
            databases = [stack.enter_context(postgres.running(here.workdir / "postgres.log"))] * _REPLICAS
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=web_replicas.TIMEOUT))
        replicas = [
            web_replicas.Replica(here, database, KAFKA__BOOTSTRAP_SERVERS=links[number % len(links)])
            for number, database in enumerate(databases)
        ]
        reader = web_replicas.StreamReader(session, replicas)
        yield WebSide(replicas, files, session, reader, chance, count, [])
