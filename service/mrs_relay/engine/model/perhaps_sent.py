"""Put a job in doubt that another relay may have submitted since its record was read. Pure."""

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
    return msgspec.structs.replace(
        jobs.moved(job, jobs.State.SUBMITTING), attempt=max(1, job.attempt), intent_ms=now_ms
    )
