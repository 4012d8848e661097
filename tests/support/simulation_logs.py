"""
The logs of failed jobs in a simulated world: some come late, are slow, large, refused, silent, or never written.

What happens to a log follows from the seed and the job. Troubles of logs never end: it is the relay that must not wait.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.support import cause_history

from mrs_relay import errors
from mrs_relay.obs import paths

PATH: Final = "obs://lake/logs"
WITHIN_S: Final = (10.0, 20.0)
"""What `causes.within_s` may be; more than the worst of the logs that can be read need."""

_LATE_S: Final = 2.5
_SLOW_S: Final = 1.7
_FAILING: Final = 2

_READABLE: Final = ("there", "there", "late", "slow", "failing", "large")
_UNREADABLE: Final = ("missing", "silent", "refused", "down")
_LARGE: Final = b"2026-01-01 00:00:00,000 INFO  [main] nothing to see\n" * 10_000
_SLACK_S: Final = 6.0
"""From the last look at a log to the event: a look in any case, and a commit."""


@dataclass(eq=False)
class Logs:
    """
    The logs of one deployment.

    Attributes:
        seed: decides what happens to each.
        troubles: counts it.
        asked_s: id of a job -> when its log was first asked for.
        fates: id of a job -> what happens to its log.
    """

    seed: int
    troubles: Counter[str]
    asked_s: dict[str, float] = field(default_factory=dict)
    fates: dict[str, str] = field(default_factory=dict)
    _tries: Counter[str] = field(default_factory=Counter)

    async def tail(
        self, place: paths.Place, most_bytes: int, content: Callable[[paths.Place], bytes]
    ) -> tuple[bytes, int]:
        """Return the end of a log and its size, or what happens instead; that of stdout is always there."""
        _, _, job_id, name = place.key.split("/")
        now_s = asyncio.get_running_loop().time()
        since_s = now_s - self.asked_s.setdefault(job_id, now_s)
        if job_id not in self.fates:
            self.fates[job_id] = _fate(self.seed, job_id)
            self.troubles[f"log {self.fates[job_id]}"] += 1
        await asyncio.sleep(0.05)
        if name == "stdout":
            return _end(content(place), most_bytes)

        self._tries[job_id] += 1
        if (error := self._refusal(job_id, since_s)) is not None:
            raise error
        match self.fates[job_id]:
            case "silent":
                await asyncio.Event().wait()
            case "slow":
                await asyncio.sleep(_SLOW_S)
            case "large":
                return _end(_LARGE + content(place), most_bytes)
        return _end(content(place), most_bytes)

    def _refusal(self, job_id: str, since_s: float) -> errors.ObsError | None:
        """Return what OBS answers instead of the log."""
        match self.fates[job_id]:
            case "refused":
                return errors.ObsRefused("OBS does not let the relay read it")
            case "missing":
                return errors.ObsMissing("OBS has no such object")
            case "late" if since_s < _LATE_S:
                return errors.ObsMissing("OBS has no such object yet")
            case "failing" if self._tries[job_id] <= _FAILING:
                return errors.ObsDown("the reply was lost")
            case "down":
                return errors.ObsDown("OBS is away")
            case _:
                return None

    def faults(self, calm_s: float, within_s: float, ended: Mapping[str, cause_history.End]) -> Iterator[str]:
        """
        Yield the ends that came too late, and logs that were not read although nothing stood in the way.

        Args:
            calm_s: when all other troubles had ended and their consequences were over; what is earlier is excused.
            within_s: for how long a log is looked for.
            ended: id of a job -> its end as it was reported.
        """
        for job_id, asked_s in self.asked_s.items():
            fate = self.fates[job_id]
            if job_id not in ended:
                yield f"the log of {job_id}, which was {fate}, was read, and its end was not reported"
                continue
            end = ended[job_id]
            if asked_s <= calm_s:
                continue
            if end.at_s > asked_s + within_s + _SLACK_S:
                yield f"{job_id} ended {end.at_s - asked_s:.0f} s after its log was asked for first, which was {fate}"
            # Without a cause the first file counts, as it does where the other one is not there yet.
            names = ("/stderr",) if end.cause is not None and fate != "late" else ("/stderr", "/stdout")
            if fate in _READABLE and not end.reason.get("log_location", "").endswith(names):
                yield f"the log of {job_id}, which was {fate}, is not in its event"


def _fate(seed: int, job_id: str) -> str:
    chance = random.Random(f"log {seed} {job_id}")
    return chance.choice(_READABLE if chance.random() < 0.6 else _UNREADABLE)


def _end(content: bytes, most_bytes: int) -> tuple[bytes, int]:
    return content[-most_bytes:], len(content)
