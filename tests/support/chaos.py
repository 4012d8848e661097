"""
The kill loop: a real Kafka, real relays and an emulator, killed over and over while requests keep flowing.

`python -m tests.support.chaos 50` does 50 troubles, waits until everything has come to its end, lets `history` judge
and prints a table; exit code 1 if the promise was broken, and the folder with all logs and the history is kept then. A
second number is the seed: it repeats the order of the troubles, not their timing, which is the machines'. A third word
is the guarantee, `exactly-once` (the default) or `at-least-once`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import brokers, chaos_fleet, chaos_traffic, chaos_troubles, child, history, service

PARTITIONS = 6
RELAYS = 3
_RATE = 5.0
_RELAY_LANES = 2
_SHARE_OF_MRS = 0.34
_SHARE_OF_BROKER = 0.06
_TRIES = 20
_DRAIN_S = 240.0
_TELL_EVERY_S = 30.0
_LIVED = {
    "partition_owned": "partitions restored",
    "partition_failed": "leases lost in the middle",
    "producer_replaced": "producers replaced",
    "submission_in_doubt": "replies lost",
    "several_jobs_with_one_mark": "several jobs with one mark",
    "partition_unreadable": "partitions unreadable",
    "handler_failed": "handlers failed",
}
"""What relays log -> what it means, for the table. The last three have to be 0."""
_SETTINGS = {
    "ENGINE__SLOTS_PER_CLUSTER": "0",
    "ENGINE__SEND_WITHIN_S": "1",
    "ENGINE__SETTLE_S": str(chaos_troubles.SETTLE_S),
    "ENGINE__VISIBILITY_S": "1.5",
    "ENGINE__KILL_AGAIN_S": "2",
    "ENGINE__CANCEL_WAIT_S": "20",
    "MRS__CALL_TIMEOUT_S": "1.5",
    "KAFKA__SESSION_TIMEOUT_MS": str(round(chaos_troubles.SESSION_S * 1000)),
    "KAFKA__HEARTBEAT_INTERVAL_MS": "300",
    "KAFKA__REBALANCE_TIMEOUT_MS": "6000",
    "KAFKA__REQUEST_TIMEOUT_MS": "3000",
    "KAFKA__COMMIT_TIMEOUT_S": "6",
    "KAFKA__TRANSACTION_TIMEOUT_MS": "8000",
    "KAFKA__RETRY_FIRST_S": "0.2",
    "KAFKA__RETRY_MOST_S": "2",
    "KAFKA__PARTITIONS": str(PARTITIONS),
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a run has shown: the faults, and the table of numbers."""

    faults: Sequence[str]
    numbers: Mapping[str, float]

    @property
    def table(self) -> str:
        """All numbers, a line each."""
        return "\n".join(f"{name:<40} {value:>8}" for name, value in self.numbers.items())

    @property
    def summary(self) -> str:
        """One line for people."""
        of = self.numbers
        return (
            f"{of['troubles in all']} troubles in {of['minutes']} min under {of['requests']} requests: "
            f"{of['lost']} lost, {of['doubled']} jobs doubled, {of['gaps']} gaps, {of['repeats']} repeated sequence "
            f"numbers, {of['faults']} faults in all"
        )


@dataclass(eq=False)
class KillLoop:
    """One run."""

    here: service.Deployment
    troubles: chaos_troubles.Troubles
    sender: chaos_traffic.Sender
    reader: chaos_traffic.Reader
    count: Counter[str]
    done: Counter[str] = field(default_factory=Counter)
    total: int = 0

    async def run(self, total: int) -> None:
        """Do so many troubles, then wait until all requests have ended."""
        self.total = total
        fleet = self.troubles.fleet
        await asyncio.to_thread(self.here.create_topics, PARTITIONS)
        await fleet.replace_dead()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.sender.run())
            telling = group.create_task(self._tell())
            try:
                await self._all_lanes(total)
            finally:
                self.sender.stop.set()
                telling.cancel()
        await asyncio.to_thread(self.troubles.mrs.lift)
        await fleet.replace_dead()
        await self._drain()
        await fleet.stop()

    async def _all_lanes(self, total: int) -> None:
        troubles, chance = self.troubles, self.troubles.chance
        of_broker = round(total * _SHARE_OF_BROKER)
        of_mrs = round(total * _SHARE_OF_MRS)
        relays = iter(chaos_troubles.plan(troubles.of_relays(), total - of_mrs - of_broker, chance))
        mrs = iter(chaos_troubles.plan(troubles.of_mrs(), of_mrs, chance))
        broker = chaos_troubles.plan(troubles.of_broker(), of_broker, chance)
        async with asyncio.TaskGroup() as group:
            for _ in range(_RELAY_LANES):
                group.create_task(self._lane(relays, troubles.of_relays()))
            group.create_task(self._lane(mrs, troubles.of_mrs()))
            group.create_task(self._broker_lane(broker, total - of_broker))

    async def _lane(self, names: Iterator[str], kinds: Mapping[str, tuple[chaos_troubles.Trouble, int]]) -> None:
        """One trouble after the other; several lanes may share `names`."""
        for name in names:
            await self._until_bitten(name, kinds[name][0])
            await asyncio.sleep(self.troubles.chance.uniform(0.1, 1.0))

    async def _broker_lane(self, names: Sequence[str], others: int) -> None:
        """Spread over the run: each when its part of all other troubles is done."""
        for number, name in enumerate(names):
            while (self.done.total() - number) * len(names) < others * number:
                await asyncio.sleep(0.2)
            await self._until_bitten(name, self.troubles.of_broker()[name][0])

    async def _until_bitten(self, name: str, trouble: chaos_troubles.Trouble) -> None:
        for _ in range(_TRIES):
            if await trouble():
                self.done[name] += 1
                return
            self.count["troubles that did not bite"] += 1

    async def _tell(self) -> None:
        """A line now and then: how far, and what is still under way."""
        began_s = time.monotonic()
        while True:
            await asyncio.sleep(_TELL_EVERY_S)
            has_read = await self.reader.read_on()
            now_s, done = time.monotonic(), self.done.total()
            waiting = [at_s for request_id, at_s in self.sender.sent.items() if request_id not in self.reader.ended]
            oldest_s = now_s - min(waiting, default=now_s)
            left_min = (now_s - began_s) * (self.total - done) / max(1, done) / 60
            print(
                f"{(now_s - began_s) / 60:5.1f} min: {done} of {self.total} troubles, "
                f"{len(self.sender.sent)} requests, {len(waiting)} under way, the oldest for {oldest_s:.0f} s"
                f"{'' if has_read else ' (Kafka does not answer)'}; about {left_min:.0f} min to go",
                flush=True,
            )

    async def _drain(self) -> None:
        until_s = time.monotonic() + _DRAIN_S
        while time.monotonic() < until_s:
            await self.troubles.fleet.replace_dead()
            await self.reader.read_on()
            if self.reader.ended >= self.sender.sent.keys() and not (await self.reader.ledger())[1]:
                return
            await asyncio.sleep(1.0)


async def play(count: int, workdir: Path, seed: int, guarantee: str = "exactly-once", *, rate: float = _RATE) -> Found:
    """Do `count` troubles in `workdir`, where everything that was seen is written."""
    print(f"{count} troubles with seed {seed}, {guarantee}, in {workdir}", flush=True)
    began_s = time.monotonic()
    chance, counter = random.Random(seed), Counter[str]()
    clusters = [word for cluster in chaos_traffic.CLUSTERS for word in ("--cluster", cluster)]
    flags = (*clusters, "--slots", "0", "--run-s", "1")
    with brokers.start_kafka(workdir) as kafka, service.emulator(workdir, *flags) as mrs:
        here = service.Deployment(kafka.bootstrap, "chaos", mrs.url, workdir, guarantee, more=_SETTINGS)
        fleet = chaos_fleet.Fleet(here.environment(), workdir, RELAYS, chance, counter)
        troubles = chaos_troubles.Troubles(fleet, mrs, kafka, chance, counter)
        reader = chaos_traffic.Reader(here, workdir / "events.jsonl")
        loop = KillLoop(here, troubles, chaos_traffic.Sender(here, chance, counter, rate), reader, counter)
        faults: list[str] = []
        try:
            await loop.run(count)
        except* (chaos_fleet.NobodyWorks, child.ChildFailed) as several:
            faults += [str(error) for error in several.exceptions]
        faults += await _judge(loop, mrs)
    seen = lived(workdir)
    faults += [f"{seen[name]} {name}; see the logs" for name in list(_LIVED.values())[-3:] if seen[name]]
    (workdir / "faults.txt").write_text("\n".join(faults))
    numbers = {
        **dict(sorted(loop.done.items())),
        "troubles in all": loop.done.total(),
        **dict(sorted(counter.items())),
        **{name: seen[name] for name in _LIVED.values()},
        "longest wait for Kafka's return in s": round(troubles.slowest_recovery_s),
        "minutes": round((time.monotonic() - began_s) / 60, 1),
        "faults": len(faults),
    }
    return Found(faults, numbers)


async def _judge(loop: KillLoop, mrs: service.Emulator) -> list[str]:
    """Have the history judged: what was sent, all events, the ledger, and the list of MRS's effects."""
    reader, sent = loop.reader, list(loop.sender.sent)
    await reader.read_on()
    kept, behind = await reader.ledger()
    effects = await asyncio.to_thread(mrs.effects)
    created = [effect["name"] for effect in effects]
    # cancels and malformed messages have stories of their own
    events = [event for event in reader.events if event.request_id.startswith("r-")]
    found = [*behind, *loop.troubles.faults, *loop.troubles.fleet.faults]
    loop.count["events"] = len(events)
    if loop.here.guarantee == "at-least-once":
        before = len(events)
        events, doubles = history.once(events)
        loop.count["events told again"] = before - len(events)
        found += doubles
    results = {effect["name"]: effect.get("result", "") for effect in effects}
    kept = [job for job in kept if job.request_id.startswith("r-")]
    found += history.faults(sent, events, created, kept=kept, results=results)
    folder = reader.file.parent
    folder.joinpath("ledger.txt").write_text("\n".join(map(str, kept)))
    folder.joinpath("jobs.jsonl").write_text("\n".join(map(json.dumps, effects)))
    loop.count.update({"requests": len(sent), "jobs on MRS": len(created), **counts(sent, events, created)})
    return found


def lived(folder: Path) -> Counter[str]:
    """What the relays lived through, by their own logs."""
    seen: Counter[str] = Counter()
    for log in folder.glob("relay-*.log"):
        for line in log.read_text(errors="replace").splitlines():
            found = re.search(r'"event": "(\w+)"', line)
            if found and found.group(1) in _LIVED:
                seen[_LIVED[found.group(1)]] += 1
    return seen


def counts(sent: Sequence[str], events: Sequence[history.Seen], created: Sequence[str]) -> dict[str, int]:
    """The numbers of the table that must be 0."""
    numbers: dict[str, list[int]] = {request_id: [] for request_id in sent}
    for seen in events:
        numbers.setdefault(seen.request_id, []).append(seen.sequence)
    ended = {seen.request_id for seen in events if seen.state in history.LAST}
    return {
        "lost": sum(request_id not in ended for request_id in sent),
        "doubled": sum(times - 1 for times in Counter(created).values()),
        "gaps": sum(max(found, default=0) - len(set(found)) for found in numbers.values()),
        "repeats": sum(len(found) - len(set(found)) for found in numbers.values()),
    }


def _main(words: list[str]) -> int:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker is away on purpose
    plain = [word for word in words if word.isdecimal()]
    count = int(plain[0]) if plain else 50
    seed = int(plain[1]) if len(plain) > 1 else random.randrange(1 << 32)
    guarantee = next((word for word in words if not word.isdecimal()), "exactly-once")
    workdir = Path(tempfile.mkdtemp(prefix="mrs-relay-chaos-"))
    found = asyncio.run(play(count, workdir, seed, guarantee))
    print(found.table)
    print(found.summary)
    if not found.faults:
        shutil.rmtree(workdir, ignore_errors=True)
        return 0
    print("\n".join(found.faults[:50]))
    print(f"the promise was broken; logs and history are in {workdir}")
    return 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
