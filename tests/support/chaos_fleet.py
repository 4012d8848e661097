"""
The relays of the kill loop: always so many of them, each in the hands of one trouble at most.

A trouble `take`s a relay that is at work, does what it does, and `gives` it back, dead or alive; what is dead is
replaced at once, as an orchestrator does. A relay that ends by itself because Kafka was away too long is replaced, too,
and counted; any other end that nobody asked for is a fault.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import child

from mrs_relay.cli import run

_ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 0.05
_IDLE_S = 120.0


class NobodyWorks(RuntimeError):  # noqa: N818 - named for what happened
    """All relays stand still."""


@dataclass(eq=False)
class Relay:
    """
    One relay process; see `chaos_relay` for its three files.

    Attributes:
        place: where its files begin.
        taken: a trouble has it.
        blamed: its end was somebody's will.
    """

    process: child.Child
    place: Path
    taken: bool = False
    blamed: bool = False

    @property
    def commits(self) -> int:
        """How many commits it has made."""
        return self._beside("commits").stat().st_size if self._beside("commits").exists() else 0

    @property
    def reached(self) -> bool:
        """It has done what `order` told it."""
        return self._beside("reached").exists()

    def order(self, point: str, nth: int, signal_number: signal.Signals) -> None:
        """Have it send itself a signal at the n-th passing of a point from now on."""
        write_order(self.place, point, nth, signal_number)

    def forget(self) -> None:
        """Take back an order that was or was not carried out."""
        self._beside("order").unlink(missing_ok=True)
        self._beside("reached").unlink(missing_ok=True)

    def _beside(self, ending: str) -> Path:
        return self.place.with_suffix(f".{ending}")


def write_order(place: Path, point: str, nth: int, signal_number: signal.Signals) -> None:
    """Leave an order for the relay whose files begin there; it appears whole."""
    fresh = place.with_suffix(".fresh")
    fresh.write_text(f"{point} {nth} {signal_number.value}")
    fresh.replace(place.with_suffix(".order"))


@dataclass(eq=False)
class Fleet:
    """
    All relays.

    Args:
        environment: of every relay.
        folder: for their logs and files.
        size: how many there are to be.

    Attributes:
        count: what happened.
        faults: ends that nobody asked for.
    """

    environment: Mapping[str, str]
    folder: Path
    size: int
    chance: random.Random
    count: Counter[str]
    relays: list[Relay] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    started: int = 0

    async def start(self, order: tuple[str, int, signal.Signals] | None = None, *, taken: bool = False) -> Relay:
        """Start one more relay, perhaps with an order for its way into the group."""
        self.started += 1
        place = self.folder / f"relay-{self.started}.x"
        if order is not None:
            write_order(place, *order)
        environment = {**self.environment, "CHAOS_PLACE": str(place.with_suffix(""))}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), environment.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "tests.support.chaos_relay", "serve"]
        process = await asyncio.to_thread(child.Child, command, log=place.with_suffix(".log"), env=environment)
        relay = Relay(process, place, taken=taken)
        self.relays.append(relay)
        self.count["relays started"] += 1
        return relay

    async def take(self) -> Relay:
        """
        Wait for a relay that is at work and that nobody has, one that commits while we look.

        Raises:
            NobodyWorks: for a long time there was none.
        """
        until_s = time.monotonic() + _IDLE_S
        while time.monotonic() < until_s:
            await self.replace_dead()
            free = [relay for relay in self.relays if not relay.taken and relay.process.alive]
            before = {relay: relay.commits for relay in free}
            await asyncio.sleep(2 * _POLL_S)
            at_work = [
                relay
                for relay in free
                if relay.commits > before[relay] and not relay.taken and relay.process.alive  # all may have changed
            ]
            if at_work:
                chosen = self.chance.choice(at_work)
                chosen.taken = True
                return chosen
        raise NobodyWorks(f"no relay has committed anything for {_IDLE_S:g} s")

    async def give(self, relay: Relay) -> None:
        """Give a relay back; if it ended, that was the trouble's doing."""
        relay.forget()
        relay.taken = False
        relay.blamed = not relay.process.alive
        await self.replace_dead()

    async def replace_dead(self) -> None:
        """See to it that there are enough relays."""
        for relay in [relay for relay in self.relays if not relay.taken and not relay.process.alive]:
            self.relays.remove(relay)
            code = relay.process.exit_code()
            if relay.blamed:
                continue
            self.count["relays that gave up"] += 1
            if code != run.Code.UNREACHABLE:
                self.faults.append(f"{relay.place.stem} ended by itself with {code}; see its log")
        while len(self.relays) < self.size:
            await self.start()

    async def stop(self) -> None:
        """End all in order."""
        for relay in self.relays:
            relay.process.send(signal.SIGCONT)
        codes = await asyncio.gather(*(asyncio.to_thread(relay.process.stop, 40.0) for relay in self.relays))
        self.faults += [
            f"{relay.place.stem} answered SIGTERM with {code}"
            for relay, code in zip(self.relays, codes, strict=True)
            if code
        ]


async def until(what: Callable[[], bool], limit_s: float) -> bool:
    """Wait until `what` says yes, for at most `limit_s` seconds."""
    until_s = time.monotonic() + limit_s
    while not what():
        if time.monotonic() > until_s:
            return False
        await asyncio.sleep(_POLL_S)
    return True
