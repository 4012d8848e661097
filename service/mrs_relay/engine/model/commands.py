"""
Define all commands, and the command of each state.

A command follows from a job as it was committed and from nothing else. So a fresh decision and a restart give the same
command.
"""

from __future__ import annotations

import enum
from typing import Final

from mrs_relay.engine.model import jobs


class Command(enum.Enum):
    """An action for a job, run after the job's state has been committed."""

    SELECT_CLUSTER = "choose its cluster"
    ENQUEUE = "ask the scheduler for a turn"
    SUBMIT = "send the submission, once"
    LOOK_UP = "look for the token on MRS"
    TRACK = "watch it until it ends"
    KILL = "ask MRS to stop it, and watch it until it ends"
    COLLECT = "read its rows"
    COLLECT_LATE = "as RELEASE, and read the rows that its last event did not have"
    READ_LOG = "read the end of its log"
    AWAIT_REQUEST = "wait for the request that a cancel speaks of"
    STOP_DUPLICATES = "ask MRS to stop further jobs with the token"
    RELEASE = "give back its slot and stop watching"


FOR_STATE: Final[dict[jobs.State, Command]] = {
    jobs.State.PENDING_CANCEL: Command.AWAIT_REQUEST,
    jobs.State.REJECTED: Command.RELEASE,
    jobs.State.CHOOSING: Command.SELECT_CLUSTER,
    jobs.State.QUEUED: Command.ENQUEUE,
    jobs.State.SUBMITTING: Command.SUBMIT,
    jobs.State.IN_DOUBT: Command.LOOK_UP,
    jobs.State.SUBMITTED: Command.TRACK,
    jobs.State.RUNNING: Command.TRACK,
    jobs.State.CANCELLING: Command.KILL,
    jobs.State.COLLECTING: Command.COLLECT,
    jobs.State.SUCCEEDED: Command.RELEASE,
    jobs.State.FAILED: Command.RELEASE,
    jobs.State.CANCELLED: Command.RELEASE,
    jobs.State.UNKNOWN: Command.RELEASE,
}
"""
The command of each state, also after a restart. Only SUBMIT does harm when it is run twice: see `transitions.recover`.
STOP_DUPLICATES is run beside it, in any state, while a job has duplicates. COLLECT_LATE takes the place of RELEASE for
a job whose rows come late.
"""


def of(job: jobs.Job) -> Command:
    """Return the command that a job calls for: that of its state, or of the log or late rows that are read for it."""
    if job.late_until_ms:
        return Command.COLLECT_LATE
    return Command.READ_LOG if jobs.is_ending(job) else FOR_STATE[job.state]
