"""
Read the end of the log of a job that has ended badly, from OBS, and name the cause that it shows.

The paths were made when the end was decided, and are checked here once more, as a ledger outlives settings. The log may
come some seconds after the end, so an object that is missing is looked for again until the time is up.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, clock
from mrs_relay.engine import log_counts, log_redaction
from mrs_relay.engine.model import decisions, facts, jobs
from mrs_relay.engine.work import log_causes
from mrs_relay.obs import client as obs_clients
from mrs_relay.obs import paths

_log = structlog.get_logger(__name__)

_ONE_READ_S: Final = 5.0
"""Seconds for reading a log even if its time is up: a replica that took the job over still tries once."""


class _Look(NamedTuple):
    """
    What a look at the files of a log has shown.

    Attributes:
        shown: the file that shows a cause, else the first that exists; None: there is none, or not yet.
        error: why not all files were read, or why none was; None: the log is as it is shown.
    """

    shown: facts.LogRead | None
    error: errors.ObsError | TimeoutError | None = None

    @property
    def outcome(self) -> log_counts.Outcome:
        """The name of it in metrics."""
        if self.shown is not None:
            return "unreadable" if self.shown.unavailable else "found"
        match self.error:
            case errors.ObsMissing():
                return "missing"
            case errors.ObsRefused():
                return "unreadable"
            case _:
                return "timed_out"


class JobLogs:
    """
    Read the logs of jobs.

    Args:
        objects: the client of OBS; None: this process has none.
        time: the clock.

    Attributes:
        counts: of the logs that were read, or were not.
    """

    def __init__(self, objects: obs_clients.Client | None, time: clock.Clock) -> None:
        self.counts = log_counts.LogCounts()
        self._objects = objects
        self._time = time
        self._pause = backoff.Backoff(first_s=1.0, most_s=8.0)

    async def read(self, job: jobs.Job, rules: decisions.LogRules | None) -> facts.LogRead:
        """
        Return what the log shows, or why it was not read.

        Ends within the time of the rules after the end was observed, by this replica or an earlier one; the log is
        looked for once in any case, and not again where OBS refuses it.
        """
        ending = job.ending
        if ending is None:
            return facts.LogRead(job.attempt, unavailable="the log is not known any more")
        if self._objects is None or rules is None:
            text = "this relay reads no logs: causes.path is not set"
            return facts.LogRead(ending.attempt, unavailable=text)

        begun_s = self._time.monotonic_s()
        left_s = min(rules.within_ms, ending.until_ms - self._time.now_ms()) / 1000
        found = await self._look_for(ending, rules, self._objects, max(_ONE_READ_S, left_s))
        self.counts.note(found.outcome, self._time.monotonic_s() - begun_s)

        if found.error is not None:
            job_id = job.seen.job_id if job.seen else None
            _log.warning("log_not_read", request=job.id, job_id=job_id, error=str(found.error))
        return found.shown or facts.LogRead(ending.attempt, unavailable=str(found.error))

    async def _look_for(
        self, ending: jobs.Ending, rules: decisions.LogRules, objects: obs_clients.Client, limit_s: float
    ) -> _Look:
        """Look at the log until all of it was read, OBS refuses it, or the time is up."""
        until_s = asyncio.get_running_loop().time() + limit_s
        latest = _Look(None, errors.ObsDown(f"OBS did not answer within {limit_s:.0f} s"))
        failures = 0
        while True:
            look = await self._look(ending, rules, objects, until_s)
            shown = look.shown or latest.shown
            if look.error is None or isinstance(look.error, errors.ObsRefused):
                return _Look(shown, look.error)
            if isinstance(look.error, TimeoutError):
                return _Look(shown, latest.error)

            latest = _Look(shown, look.error)
            failures += 1
            try:
                async with asyncio.timeout_at(until_s):
                    await asyncio.sleep(self._pause.delay_s(failures))
            except TimeoutError:
                return latest

    async def _look(
        self, ending: jobs.Ending, rules: decisions.LogRules, objects: obs_clients.Client, until_s: float
    ) -> _Look:
        """Look at the files of the log once, up to the one that shows a cause or cannot be read."""
        first: facts.LogRead | None = None
        missing = errors.ObsMissing("the job has no log")
        for log in ending.logs:
            try:
                async with asyncio.timeout_at(until_s):
                    end = await objects.read_tail(_checked(log, rules), rules.tail_bytes)
            except errors.ObsMissing as error:
                missing = error
                continue
            except (errors.ObsError, TimeoutError) as error:
                return _Look(first, error)

            shown = _shown(ending.attempt, log, end, rules)
            if shown.cause is not None:
                return _Look(shown)
            first = first or shown
        return _Look(first, missing if first is None else None)


def _shown(attempt: int, log: str, end: obs_clients.Tail, rules: decisions.LogRules) -> facts.LogRead:
    text = end.content.decode(errors="replace")
    if not end.is_whole:
        text = log_redaction.after_cut(text)
    if not text.strip():
        says = "is empty" if end.is_whole else "ends with a word that is longer than what is read"
        return facts.LogRead(attempt, log=log, unavailable=f"{log} {says}")

    found = log_causes.find(text)
    piece, from_start = log_redaction.piece(text, -1 if found is None else found.at, rules.max_detail)
    shown = log_redaction.without_secrets(piece)
    return facts.LogRead(attempt, None if found is None else found.cause, shown, from_start, log)


def _checked(log: str, rules: decisions.LogRules) -> paths.Place:
    try:
        place = paths.below(log, rules.folder)
    except ValueError as error:
        raise errors.ObsRefused(f"the path of the log is not used: {error}") from error
    if log.endswith("/"):
        raise errors.ObsRefused("the path of the log is not used: it names no object")
    return place
