"""A unit of work that writes lineage, and the events that it writes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from tests.unit.engine import fakes, unit_bench

from mrs_relay.engine import unit_of_work
from mrs_relay.engine.lineage import recorder, settings
from mrs_relay.engine.model import jobs

TOPIC = "mrs.lineage"
NAMESPACE = "/mrs-relay"


def bench(*committed: jobs.Job, limits: dict[str | None, int] | None = None, **rules: Any) -> unit_bench.Bench:
    """Make a unit of work that writes lineage by these rules."""
    made = unit_bench.Bench(*committed)
    target = recorder.Target(TOPIC, NAMESPACE, settings.LineageSettings(**rules))
    made.context = dataclasses.replace(made.context, lineage=target)
    lease = fakes.lease(limits)
    made.unit = unit_of_work.UnitOfWork(made.jobs, made.context, lease, unit_bench.none_admitted)
    return made


def events(made: unit_bench.Bench) -> list[dict[str, Any]]:
    """Return the run events that a unit writes."""
    return [json.loads(one.value or b"") for one in made.unit.outgoing() if one.topic == TOPIC]


async def written(job: jobs.Job, *facts: str, **rules: Any) -> list[dict[str, Any]]:
    """Return the run events that follow from facts."""
    made = bench(job, **rules)
    made.happen(*facts)
    await made.unit.add_lineage()
    return events(made)
