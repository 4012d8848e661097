"""Change a job that comes from the ledger of another Kafka: what its record says of that Kafka does not hold. Pure."""

from __future__ import annotations

import msgspec

from mrs_relay.engine.model import jobs


def perhaps_sent(job: jobs.Job, now_ms: int) -> jobs.Job:
    """
    Return a job that waits for its submission as if that had been decided, so that a restore looks for it on MRS first.

    A job that may not begin before a later moment has certainly not been submitted, and is returned unchanged, like all
    jobs in other states.
    """
    if job.state is not jobs.State.QUEUED or job.not_before_ms > now_ms:
        return job
    since_ms = job.intent_ms or job.arrived_ms  # what is looked for on MRS is not older than this
    return msgspec.structs.replace(
        jobs.moved(job, jobs.State.SUBMITTING), attempt=max(1, job.attempt), intent_ms=since_ms
    )


def from_other_topic(job: jobs.Job, next_offset: int) -> jobs.Job:
    """
    Return a job whose input offset is before all offsets of a new topic, in the same order among others.

    A message at the offset of its job is taken for the same record, read twice, and one below that of a rejected
    request for an older one: a repetition in the new topic is neither.

    Args:
        job: of the old ledger.
        next_offset: of the old input topic: that of the job is below it.
    """
    return msgspec.structs.replace(job, order=min(job.order - next_offset, -1))


def is_same(before: jobs.Job, after: jobs.Job) -> bool:
    """Whether an import could have made the one job of the other without putting it in doubt."""
    return before == after or (after.order < 0 and msgspec.structs.replace(before, order=after.order) == after)


def was_put_in_doubt(before: jobs.Job, after: jobs.Job) -> bool:
    """Whether an import has made the one job of the other, and put it in doubt; see `perhaps_sent`."""
    doubtful = perhaps_sent(before, before.not_before_ms)
    return doubtful is not before and is_same(doubtful, after)
