"""
Read the log of a job that has ended badly on MRS before its end is published. Pure, beside `transitions`.

The job stays in its state meanwhile, with its end in `Job.ending`. So an earlier version of the relay, which keeps that
field and does not know it, follows the job on and reports the end without a cause. MRS has decided how the job ended:
neither the log, nor a failure to read it, changes that.
"""

from __future__ import annotations

import re
import string
from typing import Final, Literal

import msgspec

from mrs_relay.engine import log_redaction, redaction
from mrs_relay.engine.decide import retry
from mrs_relay.engine.model import commands, decisions, facts, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import reasons

_replace = msgspec.structs.replace

LOG_SAYS: Final = "; its log there says why"
"""The end of a reason's text while the cause is not known."""

_STEP: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""An id that may stand in a path: MRS's reply is foreign text."""


def needs_work(job: jobs.Job, config: decisions.DecisionConfig) -> bool:
    """Return whether the job's work is kept while it runs: what its log shows of it is removed from events."""
    return config.logs is not None and config.logs.shows == "redacted" and kinds.of(job).traits.leaves_log


def ended_badly(
    job: jobs.Job, state: jobs.State, reason: jobs.Reason, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision:
    """Read the log of a job that failed or was killed; end it where no log is read, or a stop was asked for."""
    rules = config.logs
    if rules is None or job.stop is not None or not kinds.of(job).traits.leaves_log:
        return retry.ended_badly(job, state, reason, now_ms, config)

    try:
        logs = _logs(job, rules)
    except ValueError as error:
        cause = jobs.Cause(unavailable=f"the path of the log cannot be made: {error}")
        return retry.ended_badly(_replace(job, cause=cause), state, reason, now_ms, config)

    shown: Literal["failed", "cancelled"] = "failed" if state is jobs.State.FAILED else "cancelled"
    ending = jobs.Ending(job.attempt, shown, reason, logs, now_ms + rules.within_ms)
    return decisions.Decision(_replace(job, ending=ending), (), commands.Command.READ_LOG)


def log_read(
    job: jobs.Job, fact: facts.LogRead, now_ms: int, config: decisions.DecisionConfig
) -> decisions.Decision | None:
    """End an attempt, with what its log shows or the reason why that is missing; only now a retry is decided."""
    ending = job.ending
    if ending is None or not jobs.is_ending(job) or fact.attempt != ending.attempt:
        return None

    reason = ending.reason
    if fact.cause is not None:
        text = f"{reason.message.removesuffix(LOG_SAYS)}: {reasons.CAUSES[fact.cause]}"
        reason = _replace(reason, message=text, retryable=reason.retryable or fact.cause == "preempted")
    known = _replace(job, ending=None, cause=_cause(job, fact, config.logs))
    return retry.ended_badly(known, jobs.State(ending.state), reason, now_ms, config)


def _cause(job: jobs.Job, fact: facts.LogRead, rules: decisions.LogRules | None) -> jobs.Cause:
    cause = jobs.Cause(name=fact.cause or "", log=fact.log, unavailable=fact.unavailable[: reasons.MAX_MESSAGE])
    if not fact.text or rules is None or rules.shows == "none":
        return cause

    asked: redaction.Asked | None = None
    if rules.shows == "redacted":
        asked = kinds.of(job).asked(job)
        if asked is None:
            text = "the request's own values are not known any more, so the log is not shown"
            return _replace(cause, unavailable=text)
    return _replace(cause, detail=log_redaction.detail(fact.text, rules.max_detail, asked, from_start=fact.from_start))


def _logs(job: jobs.Job, rules: decisions.LogRules) -> tuple[str, ...]:
    """
    Return the paths of the job's log.

    Raises:
        ValueError: an id cannot stand in a path, or none is known that a path needs.
    """
    seen = job.seen
    given = {"cluster": job.cluster, "job": seen.job_id if seen else "", "app": seen.app_id if seen else ""}
    known = {name: value for name, value in given.items() if value}
    for name, value in known.items():
        if not _STEP.fullmatch(value):
            raise ValueError(f"the id of the {name} has characters that cannot stand in a path")

    # A job that no application was started for has no id of one.
    logs = tuple(rules.folder + file.format_map(known) for file in rules.files if _needs(file) <= known.keys())
    if not logs:
        raise ValueError("MRS gives no id of the job's application")
    return logs


def _needs(file: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(file) if name is not None}
