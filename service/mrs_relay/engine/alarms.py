"""Count and log failures of the relay itself on one message or job: with the stack, without any content."""

from __future__ import annotations

import structlog

from mrs_relay.common import faults
from mrs_relay.engine import views

_log = structlog.get_logger(__name__)


def note(counts: views.Counts, step: str, error: BaseException, **where: str | int) -> None:
    """
    Count and log an unexpected error.

    Args:
        counts: of the tenant.
        step: name of the step that failed, a constant; a label of the metric.
        error: the error; its text is not logged, because it could quote the request.
        where: fields of the log line, such as the request's id or the record's offset.
    """
    counts.internal_errors[step, type(error).__name__] += 1
    _log.error("internal_error", step=step, error=faults.name(error), stack=faults.stack(error), **where)
