"""
The relays of the kill loop: always so many of them, each in the hands of one trouble at most.

A trouble `take`s a relay that is at work, does what it does, and `gives` it back, dead or alive; what is dead is
replaced at once, as an orchestrator does. An end that no trouble caused is a fault, whatever its exit code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import child

_ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 0.05
_IDLE_S = 240.0
_START_S = 180.0
_HOLD_MS = 6_000  # for half of the relays with an instance id that are asked to end
_CAUSED = (0, -signal.SIGKILL)  # by SIGTERM and SIGKILL, which only troubles send


class NobodyWorks(RuntimeError):  # noqa: N818 - named for what happened
    """All relays stand still."""


@dataclass(eq=False)
class Relay:
    """
    One relay process; see `chaos_relay` for its three files.

    Attributes:
        place: where its files begin.
        taken: a trouble has it.
        caused: a trouble has ended it.
        ordered: a trouble has reported it once to end itself at a point.
        instance_id: its `kafka.instance_id`; "" is none.
    """

    process: child.Child
    place: Path
    instance_id: str = ""
    taken: bool = False
    caused: bool = False
    ordered: bool = False

    @property
    def commits(self) -> int:
        """How many commits it has made."""
        return self._beside("commits").stat().st_size if self._beside("commits").exists() else 0

    @property
    def owns(self) -> bool:
        """It has been at the start of its work in some partition."""
        return '"partition_owned"' in self.process.log.read_text(errors="replace")

    @property
    def reached(self) -> bool:
        """It has done what `order` reported it."""
        return self._beside("reached").exists()

    def order(self, point: str, nth: int, signal_number: signal.Signals) -> None:
        """Have it send itself a signal at the n-th passing of a point from now on."""
        self.ordered = True
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


@dataclass(frozen=True, slots=True)
class Group:
    """
    What the relays of a fleet have in common.

    Attributes:
        name: in the names of their files.
        size: how many there are to be.
        environment: of every relay.
        links: addresses of Kafka, one or several; relays get them in turn.
    """

    name: str
    size: int
    environment: Mapping[str, str]
    links: Sequence[str]


@dataclass(eq=False)
class Fleet:
    """
    All relays of a deployment.

    Args:
        folder: for their logs and files.

    Attributes:
        count: what happened.
        faults: ends that no trouble caused.
    """

    group: Group
    folder: Path
    chance: random.Random
    count: Counter[str]
    relays: list[Relay] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    started: int = 0
    _replacing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _starting_ids: set[str] = field(default_factory=set)

    async def start(self, order: tuple[str, int, signal.Signals] | None = None, *, taken: bool = False) -> Relay:
        """Start one more relay, perhaps with an order for its way into the group."""
        self.started += 1
        place = self.folder / f"relay-{self.group.name}-{self.started}.x"
        if order is not None:
            write_order(place, *order)
        environment = {**self.group.environment, "CHAOS_PLACE": str(place.with_suffix(""))}
        environment["MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS"] = self.group.links[self.started % len(self.group.links)]
        environment["MRS_RELAY_KAFKA__INSTANCE_ID"] = instance_id = self._free_instance_id()
        environment["MRS_RELAY_KAFKA__RESTART_HOLD_MS"] = str(_HOLD_MS if self.started % 2 else 0)
        environment["MRS_RELAY_KAFKA__LEDGER_FORMAT"] = str(1 + self.started // 2 % 2)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), environment.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "tests.support.chaos_relay", "serve"]
        process = await asyncio.to_thread(child.Child, command, log=place.with_suffix(".log"), env=environment)
        relay = Relay(process, place, instance_id, taken=taken, ordered=order is not None)
        self.relays.append(relay)
        self._starting_ids.discard(instance_id)
        self.count["relays started"] += 1

        return relay

    def _free_instance_id(self) -> str:
        """Return an instance id that no relay here uses: half of the relays have one, and it outlives the process."""
        ids = [f"{self.group.name}-{number}" for number in range(self.group.size // 2)]
        used = {relay.instance_id for relay in self.relays} | self._starting_ids
        free = next((one for one in ids if one not in used), "")
        self._starting_ids.add(free)
        return free

    async def take(self) -> Relay:
        """
        Wait for a relay that is at work and is not taken, one that commits while we look.

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

        raise NobodyWorks(f"no relay of {self.group.name} has committed anything for {_IDLE_S:g} s")

    async def give(self, relay: Relay) -> None:
        """Give a relay back; if it ended as troubles end relays, that was its trouble's doing."""
        relay.forget()
        relay.taken = False
        relay.caused = relay.process.exit_code() in _CAUSED
        await self.replace_dead()

    async def replace_dead(self) -> None:
        """See to it that there are enough relays, and not more because two troubles look at once."""
        async with self._replacing:
            await self._replace_dead()

    async def _replace_dead(self) -> None:
        for relay in [relay for relay in self.relays if not relay.taken and not relay.process.alive]:
            self.relays.remove(relay)
            code = relay.process.exit_code()
            # An order may be carried out in the moment in which the trouble takes it back.
            carried_out_late = relay.ordered and code == -signal.SIGKILL
            if not relay.caused and not carried_out_late:
                self.count["relays that ended by themselves"] += 1
                self.faults.append(f"{relay.place.stem} ended by itself with {code}: {last_error(relay.process.log)}")
        while len(self.relays) < self.group.size:
            await self.start()

    async def at_work(self) -> None:
        """
        Start them, and wait until each has a partition.

        Raises:
            NobodyWorks: one has not.
        """
        await self.replace_dead()
        if not await until(lambda: all(relay.owns for relay in self.relays), _START_S):
            raise NobodyWorks(f"not every relay of {self.group.name} has got a partition in {_START_S:g} s")

    async def stop(self) -> None:
        """End all in order."""
        for relay in self.relays:
            relay.process.send(signal.SIGCONT)
        await asyncio.gather(*(self.end(relay) for relay in self.relays))

    async def end(self, relay: Relay) -> None:
        """End a relay by SIGTERM; another exit code than 0 is a fault, unless it had not even begun to listen."""
        try:
            code = await asyncio.to_thread(relay.process.stop, 60.0)
        except child.ChildFailed as error:
            self.faults.append(f"{relay.place.stem}: {str(error).splitlines()[0]}")
        else:
            begun = relay.process.log.stat().st_size > 0
            if code and (begun or code != -signal.SIGTERM):
                error_reported = last_error(relay.process.log)
                self.faults.append(f"{relay.place.stem} answered SIGTERM with {code}: {error_reported}")


def last_error(log: Path) -> str:
    """Return the last error that a relay itself has logged, not its libraries; its last line if there is none."""
    lines = log.read_text(errors="replace").splitlines()
    for line in reversed(lines):
        with contextlib.suppress(json.JSONDecodeError):
            entry = json.loads(line)
            own = isinstance(entry, dict) and "logger" not in entry
            if own and entry.get("level") in {"error", "critical"}:
                return " ".join(f"{name}={entry[name]}" for name in ("event", "error", "timestamp") if name in entry)
    return lines[-1] if lines else "it has logged nothing"


async def until(what: Callable[[], bool], limit_s: float) -> bool:
    """Wait until `what` says yes, for at most `limit_s` seconds."""
    until_s = time.monotonic() + limit_s
    while not what():
        if time.monotonic() > until_s:
            return False
        await asyncio.sleep(_POLL_S)
    return True
