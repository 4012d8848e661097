"""
The judgement of a simulated world: the events of each tenant, against what MRS has really done.

Each tenant's story is judged by itself; together they must explain every job on MRS, each job in one story only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.support import history, simulation_objects, simulation_stage

from mrs_emulator.core import core, state, wire

MOST_RUNS = 30
"""How often a statement or a call that may be repeated is carried out at most."""


@dataclass(frozen=True, slots=True)
class Done:
    """
    What MRS has done.

    Attributes:
        effects: jobs and statements.
        results: job name -> job_result.
        tags: tag key -> how often it was set.
    """

    effects: Sequence[state.Effect]
    results: Mapping[str, str]
    tags: Counter[str]

    @property
    def created(self) -> list[str]:
        """Names of all jobs."""
        return [effect.name for effect in self.effects if effect.kind == "job"]


async def done(projects: Iterable[core.Emulator], tags: Counter[str]) -> Done:
    """Ask each MRS for what it has done."""
    effects: list[state.Effect] = []
    results: dict[str, str] = {}
    for mrs in projects:
        effects += mrs.effects()
        reply = await mrs.handle(wire.Request.of("GET", "/emulator/effects?kind=job&limit=1000", {}, b""))
        results |= {one["name"]: one.get("result", "") for one in json.loads(reply.body)["effects"]}
    return Done(effects, results, tags)


def faults(stages: Sequence[simulation_stage.Stage], seen: Done, *, exactly_once: bool) -> Iterator[str]:
    """Yield everything that breaks the promise, one line each."""
    published: Counter[str] = Counter()
    late: set[str] = set()

    for stage in stages:
        events = stage.story()
        if not exactly_once:
            events, doubles = history.once(events)
            yield from doubles

        names = {event.job_name for event in events if event.job_name}
        published.update(names)
        late |= _stopped_late(events, seen)
        created = [name for name in seen.created if name in names]
        found = history.faults(list(stage.bodies), events, created, kept=stage.kept(), results=seen.results)
        found += _given_up(events, seen)
        found += simulation_objects.faults(events, stage.bodies)
        found += [*stage.wrong_causes(events), *stage.wrong_chunks()]
        found += stage.denied(events, seen.effects, set(seen.tags))
        yield from (f"{stage.name}: {fault}" if stage.name else fault for fault in found)

    strangers = set(seen.created) - published.keys() - late
    yield from (f"job {name} on MRS that no event tells of" for name in sorted(strangers))
    yield from (f"job {name} is in the stories of {times} tenants" for name, times in published.items() if times > 1)
    yield from _repeated(seen)


def _stopped_late(events: Iterable[history.Seen], seen: Done) -> set[str]:
    """Return names of jobs that took effect after all waits: an event has their ids and says they are stopped."""
    reasons = [event.data.get("reason") or {} for event in events]
    texts = [reason.get("message", "") for reason in reasons if reason.get("code") == "stopped_twin"]
    return {job.name for job in seen.effects if job.kind == "job" and any(job.effect_id in text for text in texts)}


def _given_up(events: Iterable[history.Seen], seen: Done) -> Iterator[str]:
    """Check that nothing is lost on this MRS: a job that was submitted and named never has an unknown outcome."""
    for event in events:
        result = seen.results.get(event.job_name or "")
        if event.state == "unknown" and result is not None and not event.data.get("repeated"):
            yield f"{event.request_id}: unknown was reported of {event.job_name}, MRS says {result}"


def _repeated(seen: Done) -> Iterator[str]:
    runs = Counter(effect.statement for effect in seen.effects if effect.kind != "job")
    for statement, times in runs.items():
        if times > (1 if statement.startswith("insert") else MOST_RUNS):
            yield f"{statement!r} ran {times} times"
    yield from (f"tag {key} was set {times} times" for key, times in seen.tags.items() if times > MOST_RUNS)
