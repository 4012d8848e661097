"""
Read the end of the log of a job that has ended badly, from OBS, and name the cause that it shows.

The paths were made when the end was decided, and are checked here once more, as a ledger outlives settings. The log may
come some seconds after the end, so an object that is missing is looked for again until the time is up.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, clock
from mrs_relay.engine import log_redaction
from mrs_relay.engine.model import decisions, facts, jobs
from mrs_relay.engine.work import log_causes
from mrs_relay.obs import client as obs_clients
from mrs_relay.obs import paths

_log = structlog.get_logger(__name__)

_ONE_READ_S: Final = 5.0
"""Seconds for reading a log even if its time is up: a replica that took the job over still tries once."""


class JobLogs:
    """
    Read the logs of jobs.

    Args:
        objects: the client of OBS; None: this process has none.
        time: the clock.
    """

    def __init__(self, objects: obs_clients.Client | None, time: clock.Clock) -> None:
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

        left_s = min(rules.within_ms, ending.until_ms - self._time.now_ms()) / 1000
        limit_s = max(_ONE_READ_S, left_s)
        why = f"OBS did not answer within {limit_s:.0f} s"
        failures = 0
        first: list[facts.LogRead] = []
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    try:
                        return await self._look(ending, rules, self._objects, first)
                    except (errors.ObsMissing, errors.ObsDown) as error:
                        why = str(error)
                        failures += 1
                    await asyncio.sleep(self._pause.delay_s(failures))
        except errors.ObsRefused as error:
            why = str(error)
        except TimeoutError:
            pass
        _log.warning("log_not_read", request=job.id, job_id=job.seen.job_id if job.seen else None, error=why)
        if first:
            return first[0]
        return facts.LogRead(ending.attempt, unavailable=why)

    async def _look(
        self, ending: jobs.Ending, rules: decisions.LogRules, objects: obs_clients.Client, first: list[facts.LogRead]
    ) -> facts.LogRead:
        """
        Look at the files of the log, up to the one that shows a cause; without one the first that exists counts.

        That one is left in `first`, in case a further one cannot be read.

        Raises:
            ObsMissing: there is none, or not yet. ObsDown: try again. ObsRefused: final.
        """
        is_there = False
        missing = errors.ObsMissing("the job has no log")
        for log in ending.logs:
            try:
                end = await objects.read_tail(_checked(log, rules), rules.tail_bytes)
            except errors.ObsMissing as error:
                missing = error
                continue

            shown = _shown(ending.attempt, log, end, rules)
            if shown.cause is not None:
                return shown
            if not is_there:
                is_there, first[:] = True, [shown]
        if not is_there:
            raise missing
        return first[0]


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
