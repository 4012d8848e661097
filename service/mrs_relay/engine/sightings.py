"""What MRS's replies say of a job, in the engine's words. Pure."""

from __future__ import annotations

from mrs_relay.engine import facts, jobs, results
from mrs_relay.messages import events
from mrs_relay.mrs.models import jobs as job_models
from mrs_relay.mrs.models import sql as sql_models


def of_job(detail: job_models.JobDetail) -> jobs.Seen:
    """A job of a list or a single read."""
    return jobs.Seen(
        job_id=detail.job_id,
        job_state=str(detail.job_state),
        job_result=str(detail.job_result),
        progress=min(100.0, max(0.0, detail.job_progress or 0.0)),
        app_id=detail.app_id or "",
        tracking_url=detail.tracking_url or "",
        submitted_ms=detail.submitted_ms or 0,
        started_ms=detail.started_ms or 0,
        finished_ms=detail.finished_ms or 0,
    )


def of_statement(reply: sql_models.SqlResult, inline_bytes: int) -> facts.StatementObserved:
    """A statement of an ExecuteSql or ShowSqlResult reply; `inline_bytes` caps the rows that are kept."""
    result = None
    if reply.content or reply.result_location:
        result = results.inline([reply.content] if reply.content else [], inline_bytes)
        result = result.model_copy(update={"location": reply.result_location or None})
    elif reply.status == sql_models.SqlStatus.FINISHED:
        result = events.Result()
    return facts.StatementObserved(jobs.Seen(reply.id, job_state=reply.status), reply.message or "", result)
