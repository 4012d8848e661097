"""
All we may do outside, and which state calls for what.

A command is derived from a job's committed state and from nothing else, so what a fresh decision asks for and what a
restart must take up again are the same thing.
"""

from __future__ import annotations

import enum
from typing import Final

from mrs_relay.engine.model import jobs


class Command(enum.Enum):
    """What to do for a job, after its state has been committed."""

    SELECT_CLUSTER = "choose its cluster"
    ENQUEUE = "ask the scheduler for a turn"
    SUBMIT = "send the submission, once"
    LOOK_UP = "look for the mark on MRS"
    TRACK = "watch it until it ends"
    KILL = "ask MRS to stop it, and watch it until it ends"
    COLLECT = "read its rows"
    AWAIT_REQUEST = "wait for the request that a cancel speaks of"
    STOP_DUPLICATES = "ask MRS to stop further jobs with the mark"
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
What must be going on while a job is in a state. Only SUBMIT does harm when taken up twice: see `transitions.recover`.
STOP_TWINS goes beside it, in whatever state, as long as a job has twins.
"""
