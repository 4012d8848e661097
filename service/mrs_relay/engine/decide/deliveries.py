"""Decide on the rows of a statement that has succeeded: read them from where MRS has put them, or say why not. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.common import clock
from mrs_relay.engine import event_builder
from mrs_relay.engine.model import commands, decisions, facts, jobs
from mrs_relay.messages import events
from mrs_relay.obs import paths

_replace = msgspec.structs.replace

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
    collecting = _replace(jobs.moved(job, jobs.State.COLLECTING), location=location, run_deadline_ms=until_ms)
    return decisions.Decision(collecting, (), commands.Command.COLLECT)


def collected(
    job: jobs.Job, fact: facts.ResultCollected, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """
    End a job that has succeeded, with its rows or with the reason why it has none; or publish rows that come late.

    Rows that OBS has not given out in time are read further, if the settings say so: the last event says until when,
    and one event more brings them or says that they have not come.
    """
    if job.state is jobs.State.SUCCEEDED and job.late_until_ms:
        return _late(job, fact.result, now_ms, config)
    if job.state is not jobs.State.COLLECTING:
        return None

    result, wait_ms = fact.result, min(config.late_rows_ms, config.remember_ms)
    if fact.may_follow and job.delivery is not None and wait_ms > 0:
        job = _replace(job, late_until_ms=now_ms + wait_ms)
        result = result.model_copy(update={"late_until": clock.rfc3339(job.late_until_ms)})
    return event_builder.end(job, jobs.State.SUCCEEDED, now_ms, config, result=result)


def _late(job: jobs.Job, result: events.Result, now_ms: int, config: decisions.DecisionConfig) -> decisions.Decision:
    """
    Publish the rows of a success that was reported without them, or why there are none for good.

    Their folder is kept from now on: the event may have their addresses.
    """
    done = _replace(job, late_until_ms=0, rows_until_ms=event_builder.rows_until_ms(job, now_ms, config))
    shown = event_builder.bounded(job, result)
    updated, event = event_builder.build_event(done, jobs.TRAITS[job.state].shown, now_ms, result=shown, repeated=True)
    published = _replace(event, late_rows=True)
    return decisions.Decision(event_builder.without_sender(updated), (published,), commands.Command.RELEASE)


def _unreadable(job: jobs.Job, location: str, delivery: jobs.Delivery) -> str | None:
    """Return why rows are not read from a path; None: they are. Those of Presto are an object, others a folder."""
    try:
        paths.below(location, delivery.folder)
    except ValueError as error:
        return f"the path of the rows is not used: {error}"
    if job.statement and location.endswith("/"):
        return "the path of the rows is not used: it names no object, expected obs://bucket/folder/object"
    return None
