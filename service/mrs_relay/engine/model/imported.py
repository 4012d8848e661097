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


def was_put_in_doubt(before: jobs.Job, after: jobs.Job) -> bool:
    """Return whether an import has made the one job of the other, and put it in doubt; see `perhaps_sent`."""
    doubtful = perhaps_sent(before, before.not_before_ms)
    return doubtful is not before and doubtful == after
