"""Reject a request that is to be repeated after causes which no log will show. Pure."""

from __future__ import annotations

from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import reasons


def rejection(job: jobs.Job, policy: policies.Policy) -> jobs.Reason | None:
    """
    Return the reason why a request is rejected whose `retry.on` names causes; None: it is not.

    A statement of Presto leaves no log anywhere: causes, which may be its tenant's default, never hold for it.
    """
    if job.retry is None or policy.causes.path is not None or not kinds.of(job).traits.leaves_log:
        return None
    if not any(name in reasons.CAUSES for name in job.retry.on):
        return None
    text = "this relay reads no logs: causes.path is not set; name classes of reasons alone, or ask its operator"
    return jobs.Reason("not_allowed", "logs_not_read", text, field="data.retry.on")
