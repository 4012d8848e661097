"""
The kill loop: real Kafka, real relays and an emulator, killed over and over while requests keep flowing.

`python -m tests.support.chaos 50` does 50 troubles on three brokers, waits until everything has come to its end, lets
`history` judge and prints tables; exit code 1 if the promise was broken or a relay ended by itself, and the folder with
all logs and the history is kept then. A second number is the seed: it repeats the order of the troubles, not their
timing, which is the machines'. `--mode at-least-once` changes the guarantee, `--brokers 1` the number of brokers,
`--only "broker SIG"` does only those troubles of Kafka, network or MRS whose name begins so, to relays that are left
alone otherwise; `--web postgresql` (or `sqlite`) has two replicas of `mrs-relay web` read the topics, kills them as
often as relays, and has one reader follow their stream; `--json` prints one line of JSON at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import (
    brokers,
    chaos_delays,
    chaos_fleet,
    chaos_kafka,
    chaos_lanes,
    chaos_network,
    chaos_report,
    chaos_sites,
    chaos_traffic,
    chaos_troubles,
    chaos_verdict,
    chaos_web,
    child,
    ports,
    proxy,
    service,
)

_LINKS = 3
_SHARE_OF_KAFKA = 0.08
_SHARE_OF_NETWORK = 0.12
_SHARE_OF_MRS = 0.32
_SHARE_OF_WEB = 0.4
_LESS_BESIDE_WEB = 0.43  # of all others than relays and replicas: then these two have two fifths each
_DRAIN_S = 360.0  # relays look for partitions that were added every five minutes
_TELL_EVERY_S = 30.0
_PAUSE_ALONE_S = (10.0, 20.0)  # with `--only`, so that no trouble meets what another one left behind
_KILLS = re.compile("relay (SIGKILL|dies)")
_BY_DEFAULT = ", default settings"
_NOT_OF_RELAYS = ("broker", "two", "coordinator", "leader", "partitions", "network")

Kinds = Mapping[str, tuple[chaos_troubles.Trouble, int]]


@dataclass(frozen=True)
class Options:
    """
    What a run is made of.

    Args:
        guarantee: of the relays.
        size: how many brokers.
        names: which deployments take part, see `chaos_sites`.
        only: how the names of the troubles begin that are to be done, of Kafka, network and MRS; empty: all troubles,
        those of relays too.
        web: how two replicas of `mrs-relay web` keep what they read, see `chaos_web`; None: there are none.
    """

    guarantee: str = "exactly-once"
    size: int = 1
    names: Sequence[str] = tuple(chaos_sites.PLANS)
    only: str = ""
    web: str | None = None


@dataclass(eq=False)
class KillLoop:
    """One run."""

    sites: Sequence[chaos_sites.Site]
    mrs: service.Emulator
    kafka: chaos_kafka.KafkaTroubles
    schedule: chaos_lanes.Schedule
    count: Counter[str]
    web: chaos_web.WebSide | None = None
    faults: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Do all troubles, then wait until all requests have ended."""
        for site in self.sites:
            await asyncio.to_thread(site.here.create_topics, chaos_sites.PARTITIONS, len(self.kafka.cluster.nodes))
        await asyncio.gather(*(site.fleet.at_work() for site in self.sites))
        if self.web is not None:
            await self.web.start()
        tails = [asyncio.create_task(site.tail.run()) for site in self.sites]
        if self.web is not None:
            tails.append(asyncio.create_task(self.web.reader.run()))

        try:
            await self._troubles()
            await asyncio.to_thread(self.mrs.lift)
            await self._drain()
            if self.web is not None:
                self.faults += await self.web.finish(self.sites[0].reader.events)
        finally:
            for tail in tails:
                tail.cancel()
            await asyncio.gather(*tails, return_exceptions=True)

        await asyncio.gather(*(site.fleet.stop() for site in self.sites))

    async def _troubles(self) -> None:
        async with asyncio.TaskGroup() as group:
            for site in self.sites:
                group.create_task(site.sender.run())
            helpers = [group.create_task(self._tell()), group.create_task(self._keep_up())]
            try:
                await self.schedule.run()
            finally:
                for site in self.sites:
                    site.sender.stop.set()
                for helper in helpers:
                    helper.cancel()

    async def _keep_up(self) -> None:
        """Replace relays that ended by themselves where no trouble looks after them."""
        while True:
            await asyncio.sleep(1.0)
            for site in self.sites:
                await site.fleet.replace_dead()

    async def _tell(self) -> None:
        """Print a line now and then: how far, and what is still under way."""
        began_s = time.monotonic()
        while True:
            await asyncio.sleep(_TELL_EVERY_S)
            has_read = all([await site.reader.read_on() for site in self.sites])
            now_s, done, total = time.monotonic(), self.schedule.done.total(), self.schedule.total
            sent = sum(len(site.sender.sent) for site in self.sites)

            waiting = [
                at_s
                for site in self.sites
                for request_id, at_s in site.sender.sent.items()
                if request_id not in site.reader.ended
            ]

            oldest_s = now_s - min(waiting, default=now_s)
            left_min = (now_s - began_s) * (1 / max(0.001, min(lane.part for lane in self.schedule.lanes)) - 1) / 60

            print(
                f"{(now_s - began_s) / 60:5.1f} min: {done} of {total} troubles, "
                f"{sent} requests, {len(waiting)} under way, the oldest for {oldest_s:.0f} s"
                f"{'' if has_read else ' (Kafka does not answer)'}; about {left_min:.0f} min to go",
                flush=True,
            )

    async def _drain(self) -> None:
        until_s = time.monotonic() + _DRAIN_S
        left = list(self.sites)
        while left and time.monotonic() < until_s:
            for site in list(left):
                await site.fleet.replace_dead()
                if await site.whole():
                    left.remove(site)
            await asyncio.sleep(1.0 if left else 0.0)


async def play(count: int, workdir: Path, seed: int, options: Options) -> chaos_report.Found:
    """
    Do `count` troubles in `workdir`, where everything that was seen is written.

    Args:
        count: how many troubles.
        workdir: an existing folder.
        seed: of all chance.
        options: see there.

    Raises:
        ValueError: no trouble has such a name.
    """
    print(f"{count} troubles with seed {seed}, {options.guarantee}, {options.size} broker(s), in {workdir}", flush=True)
    plans = [chaos_sites.PLANS[name] for name in options.names]
    for plan in plans:
        print(f"  {plan.name}: {plan.relays} relays, {plan.heading}", flush=True)
    began_s = time.monotonic()
    faults: list[str] = []

    async with _stage(count, workdir, random.Random(seed), options, plans) as loop:
        try:
            await loop.run()
        except* (chaos_fleet.NobodyWorks, child.ChildFailed) as several:
            faults += [str(error) for error in _leaves(several)]
        faults += loop.faults
        faults += await chaos_verdict.faults(loop.sites, loop.mrs, loop.count, workdir)

    seen = chaos_report.lived(workdir)
    faults += [f"{seen[name]} {name}; see the logs" for name in list(seen.keys() & chaos_report.MUST_BE_0)]
    (workdir / "faults.txt").write_text("\n".join(faults))
    minutes = (time.monotonic() - began_s) / 60
    delays = {site.plan.name: (site.waits.all(), round(site.waits.longest_stall_s(), 1)) for site in loop.sites}

    return chaos_report.Found(faults, _numbers(loop, seen, minutes, len(faults)), delays, _by_trouble(loop))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Return the errors of a group, out of all groups within it."""
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


@asynccontextmanager
async def _stage(
    count: int, workdir: Path, chance: random.Random, options: Options, plans: Sequence[chaos_sites.Plan]
) -> AsyncIterator[KillLoop]:
    """Start Kafka, proxies and MRS, and put everything together."""
    counter = Counter[str]()
    clusters = [word for cluster in chaos_traffic.CLUSTERS for word in ("--cluster", cluster)]
    obs = ports.free_port()
    chosen = workdir / "emulator.toml"
    chosen.write_text(f'obs_job_logs = "{chaos_traffic.LOGS}"\n')
    folder = ("--obs", str(workdir / "obs"), "--obs-port", str(obs), "--config", str(chosen))

    flags = (*clusters, "--slots", "0", "--run-s", "1", *folder)
    with brokers.start_cluster(workdir, options.size, _LINKS) as cluster, service.emulator(workdir, *flags) as mrs:
        async with proxy.open_links(cluster.link_ports) as links, AsyncExitStack() as stack:
            addresses = [link.bootstrap for link in links]
            ground = chaos_sites.Ground(
                cluster.bootstrap,
                addresses,
                mrs,
                workdir,
                options.guarantee,
                chance,
                counter,
                f"http://127.0.0.1:{obs}",
            )

            sites = [ground.build(plan) for plan in plans]
            kafka = chaos_kafka.KafkaTroubles(cluster, sites, chance)
            of_mrs = chaos_troubles.MrsTroubles(mrs, chance, counter)
            of_network = chaos_network.NetworkTroubles(links, chance)
            shares = [
                ("Kafka", kafka.kinds(), _SHARE_OF_KAFKA),
                ("network", of_network.kinds(), _SHARE_OF_NETWORK),
                ("MRS", of_mrs.kinds(), _SHARE_OF_MRS),
            ]
            web = None

            if options.web is not None:
                side = chaos_web.prepared(options.web, sites[0].here, addresses, chance, counter)
                web = await stack.enter_async_context(side)
                shares = [(sort, kinds, share * _LESS_BESIDE_WEB) for sort, kinds, share in shares]
                shares.append(("web", web.kinds(), _SHARE_OF_WEB))

            if options.only:
                shares = _only(options.only, shares)
            lanes = [_lane(sort, kinds, round(count * share), chance) for sort, kinds, share in shares]
            if not options.only:
                lanes += _relay_lanes(sites, count - sum(len(lane.names) for lane in lanes), chance)
            schedule = chaos_lanes.Schedule(lanes, chance)
            if options.only:
                schedule.pause_s = _PAUSE_ALONE_S
            yield KillLoop(sites, mrs, kafka, schedule, counter, web)


def _only(beginning: str, shares: Sequence[tuple[str, Kinds, float]]) -> list[tuple[str, Kinds, float]]:
    """Keep the troubles whose names begin so; what is left of each sort gets the same share."""
    kept = [(sort, {name: kinds[name] for name in kinds if name.startswith(beginning)}) for sort, kinds, _ in shares]
    kept = [(sort, kinds) for sort, kinds in kept if kinds]
    if not kept:
        names = ", ".join(sorted(name for _, kinds, _ in shares for name in kinds))
        raise ValueError(f"no trouble begins with {beginning!r}; there are: {names}")
    return [(sort, kinds, 1 / len(kept)) for sort, kinds in kept]


def _lane(sort: str, kinds: Kinds, count: int, chance: random.Random) -> chaos_lanes.Lane:
    return chaos_lanes.Lane(sort, kinds, chaos_troubles.plan(kinds, count, chance))


def _relay_lanes(sites: Sequence[chaos_sites.Site], count: int, chance: random.Random) -> list[chaos_lanes.Lane]:
    """Return lanes of the sites whose relays are touched; together `count` troubles, by the sites' weights."""
    touched = [site for site in sites if site.plan.lanes]
    weight = sum(site.plan.weight for site in touched)
    lanes = []
    for number, site in enumerate(touched, 1):
        of_it = round(count * site.plan.weight / weight) if number < len(touched) else count
        weight, count = weight - site.plan.weight, count - of_it
        troubles = chaos_troubles.RelayTroubles(site.fleet, chance, site.plan.point_s)
        kinds = troubles.killing() if site.plan.mostly_killed else troubles.kinds()
        lane = _lane(f"relays of {site.plan.name}", kinds, of_it, chance)
        lane.width, lane.suffix = site.plan.lanes, _BY_DEFAULT if site.plan.mostly_killed else ""
        lanes.append(lane)
    return lanes


def _numbers(loop: KillLoop, seen: Counter[str], minutes: float, faults: int) -> dict[str, float]:
    done, count = loop.schedule.done, loop.count
    kills = Counter({name: times for name, times in done.items() if _KILLS.match(name)})

    return {
        **dict(sorted(done.items())),
        "troubles in all": done.total(),
        "relays killed": kills.total(),
        "relays killed with default Kafka settings": sum(n for name, n in kills.items() if name.endswith(_BY_DEFAULT)),
        "troubles that did not bite": loop.schedule.idle,
        **dict(sorted(count.items())),
        "relays that ended by themselves": count["relays that ended by themselves"],
        **{name: seen[name] for name in chaos_report.LIVED.values()},
        "longest wait for Kafka's return in s": round(loop.kafka.slowest_recovery_s),
        **{f"seconds of {lane.sort}": round(lane.busy_s / lane.width) for lane in loop.schedule.lanes},
        "seconds per trouble": round(60 * minutes / max(1, done.total()), 1),
        "minutes": round(minutes, 1),
        "faults": faults,
    }


def _by_trouble(loop: KillLoop) -> dict[str, chaos_delays.Summary]:
    """Return the delays of the deployment whose relays were left alone, by what Kafka and the network went through."""
    waits = next((site.waits for site in loop.sites if not site.plan.lanes), None)
    if waits is None:
        return {}
    by_kind: dict[str, list[chaos_delays.Interval]] = {}
    for interval in loop.schedule.intervals:
        if interval.kind.startswith(_NOT_OF_RELAYS):
            by_kind.setdefault(interval.kind, []).append(interval)
    found = {kind: waits.during(intervals) for kind, intervals in sorted(by_kind.items())}
    return {kind: summary for kind, summary in found.items() if summary.count}


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line, run, print; returns the exit code."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the brokers are away on purpose
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=50, help="how many troubles (50)")
    parser.add_argument("seed", type=int, nargs="?", default=random.randrange(1 << 32))
    parser.add_argument("--mode", choices=("exactly-once", "at-least-once"), default="exactly-once")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3)
    parser.add_argument("--only", default="", help="how the names of the troubles begin that are to be done")
    parser.add_argument("--web", choices=("sqlite", "postgresql"), help="replicas of `mrs-relay web` take part")
    parser.add_argument("--json", action="store_true", help="one line of JSON at the end")
    given = parser.parse_args(words)
    workdir = Path(tempfile.mkdtemp(prefix="mrs-relay-chaos-"))
    names = ("calm",) if given.only else ("short",) if given.web else tuple(chaos_sites.PLANS)
    options = Options(given.mode, given.brokers, names, given.only, given.web)
    found = asyncio.run(play(given.count, workdir, given.seed, options))
    print(found.table)
    print(found.summary)

    if found.faults:
        print("\n".join(found.faults[:50]))
        print(f"the promise was broken; logs and history are in {workdir}")
    else:
        shutil.rmtree(workdir, ignore_errors=True)

    if given.json:
        print(found.as_json)
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
