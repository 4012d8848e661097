"""Define decisions, the consequences of a fact, and the constants that they depend on. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from mrs_relay.engine.model import commands, jobs
from mrs_relay.messages import events


class LogRules(msgspec.Struct, frozen=True):
    """
    Which logs are read when a job has ended badly, and what an event shows of them.

    Attributes:
        folder: obs:// path, below which all logs lie.
        files: paths below it, with the places {cluster}, {job} and {app}; the first that exists is read.
        within_ms: how long the event may wait for the log, milliseconds.
        shows: nothing of the text; the text without the request's own values; or with them, but without secrets.
        max_detail: characters of the text.
        tail_bytes: most bytes that are read, from the end.
    """

    folder: str
    files: tuple[str, ...] = ("{cluster}/{job}/stderr",)
    within_ms: int = 30_000
    shows: Literal["none", "redacted", "full"] = "redacted"
    max_detail: int = 2_000
    tail_bytes: int = 65_536


class DecisionConfig(msgspec.Struct, frozen=True):
    """
    Constants that decisions depend on.

    Attributes:
        remember_ms: how long a finished job is kept for its idempotency key, milliseconds.
        progress_step: change of the progress, in per cent, that is worth an event.
        cancel_wait_ms: how long a cancel waits for a request that has not come yet, milliseconds.
        repeat_attempts: most sends of one attempt if its replies are lost and nothing can be looked up.
        resubmit_attempts: the same if it certainly had no effect: look-ups found nothing, or it only reads.
        repeat_backoff_ms: wait before the first repetition, milliseconds; doubles for each further one.
        collect_within_ms: how long the rows of a job that has succeeded are read, milliseconds.
        late_rows_ms: for how long rows are read that OBS did not give out in that time, milliseconds; 0: not at all.
        remember_rejected_ms: how long a rejection is remembered, milliseconds.
        second_look_ms: how long after the look-up of a submission in doubt its jobs are looked for again, milliseconds.
        keep_rows_ms: how long the folders of rows are kept after a job's end, milliseconds; 0: they stay.
        spark_parent: OpenLineage namespace of the run that Spark programs get as their parent; None: they get none.
        logs: the logs that are read for the cause of a bad end; None: none are.
    """

    remember_ms: int = 7 * 24 * 3_600_000
    progress_step: float = 10.0
    cancel_wait_ms: int = 3_600_000
    repeat_attempts: int = 5
    resubmit_attempts: int = 20
    repeat_backoff_ms: int = 10_000
    collect_within_ms: int = 45_000
    late_rows_ms: int = 0
    remember_rejected_ms: int = 3_600_000
    second_look_ms: int = 105_000
    keep_rows_ms: int = 0
    spark_parent: str | None = None
    logs: LogRules | None = None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """
    The consequences of a fact.

    Attributes:
        job: the job's new state; None: forget the job.
        events: events to publish, in order.
        command: command to carry out after the commit; None: the job's present activity continues.
        pass_on: send the message that brought the fact to the topic's other partitions.
        pass_back: partition that holds a cancel for a request on this partition, and gets a reply; -1 for none.
    """

    job: jobs.Job | None
    events: tuple[events.Event, ...] = ()
    command: commands.Command | None = None
    pass_on: bool = False
    pass_back: int = -1
