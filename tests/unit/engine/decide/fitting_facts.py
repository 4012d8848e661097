"""Facts that move a job on, by its state, for tests that draw sequences of them."""

from __future__ import annotations

from mrs_relay.engine.model import jobs

_S = jobs.State
OF_STATE: dict[jobs.State | None, tuple[str, ...]] = {
    None: ("request", "request", "request", "request, without a cluster", "cancel", "cancel, passed"),
    _S.CHOOSING: ("chosen", "chosen", "chosen", "none fits", "cancel", "due", "request"),
    _S.PENDING_CANCEL: ("request", "request, other payload", "cancel", "cancel matched", "expired"),
    _S.REJECTED: ("request", "request, other payload", "request, without a cluster", "invalid"),
    _S.QUEUED: ("turn", "turn", "turn", "turn", "cancel", "due", "looked again"),
    _S.SUBMITTING: (
        "looked again",
        "cancel",
        "taken",
        "not taken",
        "in doubt",
        "statement queued",
        "statement running",
        "refused",
        "replied",
    ),
    _S.IN_DOUBT: ("cancel", "found", "two found", "not found"),
    _S.SUBMITTED: (
        "cancel",
        "due",
        "running",
        "succeeded",
        "failed",
        "killed",
        "statement running",
        "statement finished",
        "cluster starts",
        "looked again, found two",
        "log read",
    ),
    _S.RUNNING: (
        "cancel",
        "due",
        "progressed",
        "succeeded",
        "failed",
        "vanished",
        "statement failed",
        "cluster is there",
        "cluster failed",
        "duplicates stopped",
        "log read",
        "log not read",
    ),
    _S.CANCELLING: ("succeeded", "failed", "killed", "vanished", "statement failed", "statement finished"),
    _S.COLLECTING: ("cancel", "collected"),
    _S.UNKNOWN: ("settled", "cancel"),
    _S.CANCELLED: ("cancel", "cancel, passed", "expired", "request"),
}
"""Facts that move a job on; drawn more often than the others, so that sequences get somewhere."""
