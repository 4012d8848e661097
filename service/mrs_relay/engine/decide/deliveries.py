"""Decide on the rows of a statement that has succeeded: read them from where MRS has put them, or say why not. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine import event_builder
from mrs_relay.engine.model import commands, decisions, jobs
from mrs_relay.messages import events
from mrs_relay.obs import paths

_MOST_WAIT_MS: Final = 60_000
"""A success waits for its rows no longer than this, whatever the settings say."""


def begin(
    job: jobs.Job, result: events.Result | None, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision:
    """
    Read the rows of a job that has succeeded, or end it.

    There is nothing to read if the reply brought the rows, as that to SHOW does. A path outside of the tenant's folder
    is named and not read, whatever put it into the reply. The folder of a SELECT of Hive or Spark is the job's own.
    """
    location = result.location if result is not None else None
    if job.delivery is None or location is None:
        return event_builder.end(job, jobs.State.SUCCEEDED, now_ms, config, result=result)
    if (why := _unreadable(job, location, job.delivery)) is not None:
        shown = events.Result(location=location[: paths.MAX_LENGTH], unavailable=why)
        return event_builder.end(job, jobs.State.SUCCEEDED, now_ms, config, result=shown)

    until_ms = now_ms + min(config.collect_within_ms, _MOST_WAIT_MS)
    collecting = msgspec.structs.replace(
        jobs.moved(job, jobs.State.COLLECTING), location=location, run_deadline_ms=until_ms
    )
    return decisions.Decision(collecting, (), commands.Command.COLLECT)


def _unreadable(job: jobs.Job, location: str, delivery: jobs.Delivery) -> str | None:
    """Return why rows are not read from a path; None: they are. Presto's are an object, others those of a folder."""
    try:
        place = paths.parse(location) if job.statement else paths.folder(location)
    except ValueError as error:
        return f"the path of the rows cannot be read: {error}"
    if not paths.is_below(place, paths.folder(delivery.folder)):
        return f"the rows lie outside of {delivery.folder}, the only folder that is read"
    return None
