"""
Submits once; in doubt, looks before anybody submits again.

MRS has no idempotency key, so a submission whose reply was lost must never be repeated blindly. `submit` sends one
request and says what is certain; `look_up` finds out by the mark in the job's name; `collect` reads the rows of a job
that has succeeded. None of them decides anything: they return facts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.engine import breakdowns, calls, codes, discreet, facts, gate, jobs, sightings, verdict, ways
from mrs_relay.engine import settings as engine_settings
from mrs_relay.kit import backoff, clock
from mrs_relay.messages import events
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.operations import sql as sql_calls

_log = structlog.get_logger(__name__)

_NO_CLUSTER: Final = frozenset({codes.NO_SUCH_CLUSTER})


class Submitter:
    """
    Makes the calls that start jobs and read their results.

    Args:
        client: the MRS client.
        hold: tells the gate to wait, for one line or (None) for all.
        settings: the waits.
        time: monotonic time.
    """

    def __init__(
        self,
        client: clients.Client,
        hold: Callable[[gate.Place | None, float], None],
        settings: engine_settings.EngineSettings,
        time: clock.Clock,
    ) -> None:
        self._client = client
        self._ways = ways.by_api(client, settings)
        self._caller = calls.Caller(client, settings)
        self._hold = hold
        self._settings = settings
        self._time = time
        self._pause = backoff.Backoff(first_s=0.5, most_s=30.0)
        self._unsent = 0
        self._unsent_s = float("-inf")

    async def submit(  # noqa: PLR0911 - one return per kind of answer
        self, job: jobs.Job, still_ours: Callable[[], bool]
    ) -> facts.Fact:
        """
        Ask MRS to run the job, once.

        The job must be committed in state SUBMITTING. MRS may take it and the reply may still be lost: then the fact is
        `InDoubt`, and whoever gets it must look up, never submit.

        Args:
            job: what to run; its name carries the mark that a look-up finds.
            still_ours: asked immediately before sending; False sends nothing.
        """
        if not still_ours():
            return facts.NotTaken()
        begun_s = self._time.monotonic_s()
        try:
            fact = await self._send(job)
        except errors.MrsBusy as error:
            _log.info("cluster_busy", cluster=job.cluster, code=error.code, wait_s=self._settings.busy_wait_s)
            return self._not_taken((job.cluster, job.operation), self._settings.busy_wait_s)
        except errors.MrsThrottled as error:
            _log.warning("mrs_throttled", wait_s=error.retry_after_s)
            return self._not_taken(None, error.retry_after_s)
        except errors.MrsUntouched as error:
            if begun_s > self._unsent_s:  # all that were under way together are one failure
                self._unsent += 1
                self._unsent_s = self._time.monotonic_s()
            wait_s = self._pause.delay_s(self._unsent)
            _log.warning("submission_not_sent", error=_told(error, job), wait_s=round(wait_s, 2))
            return self._not_taken(None, wait_s)
        except errors.MrsAmbiguous as error:
            _log.warning("submission_in_doubt", request=job.id, cluster=job.cluster, error=_told(error, job))
            return facts.InDoubt(str(error), error.request_id)
        except errors.MrsRefused as error:
            self._unsent = 0
            return facts.Refused(refusal(error))
        self._unsent = 0
        return fact

    def _not_taken(self, place: gate.Place | None, wait_s: float) -> facts.NotTaken:
        self._hold(place, wait_s)
        return facts.NotTaken()

    async def _send(self, job: jobs.Job) -> facts.Fact:
        match job.work:
            case jobs.Batch() as work:
                return facts.Taken(await self._ways[job.api].submit(job, work))
            case jobs.Presto() as work:
                # NB: the client builds the model, so that a statement which it does not take is a refusal.
                body = {"sql_content": work.statement, "database": work.database, "archive_path": work.archive_path}
                result = await self._client.call(sql_calls.EXECUTE_SQL, path={"cluster_id": job.cluster}, body=body)
                return sightings.of_statement(result, self._settings.inline_result_bytes)
            case jobs.Call() as work:
                return await self._caller.call(job, work)
            case _:
                text = "nothing was sent: the request's ledger record does not say what to submit"
                raise errors.MrsRefused(text, code=breakdowns.CODE)

    async def look_up(self, job: jobs.Job) -> facts.Fact:
        """
        Find out whether a submission in doubt took effect, by the mark in the job's name.

        Looks at once, for a job that is there needs no waiting. If it is not, waits until a request that was on its way
        has arrived, then looks until the mark shows up or the whole visibility window has passed. Failed reads do not
        count as looks.
        """
        settled_s = self._time.monotonic_s() + self._settings.settle_s
        give_up_s = settled_s + self._settings.visibility_s
        while True:
            found, started_s = await self._look(job)
            if found:
                return _found(job, found)
            if started_s >= give_up_s:
                return facts.NotFound()
            is_settled = started_s >= settled_s
            await asyncio.sleep(self._settings.look_up_interval_s if is_settled else settled_s - started_s)

    async def look_again(self, job: jobs.Job) -> facts.LookedAgain:
        """
        Look once more for a submission that was in doubt, after all that time again.

        By then whatever was on its way has arrived and is listed, so what should never be shows: a second job.
        """
        await asyncio.sleep(self._settings.settle_s + self._settings.visibility_s)
        found, _ = await self._look(job)
        return facts.LookedAgain(job.attempt, tuple(seen.job_id for seen in found))

    async def _look(self, job: jobs.Job) -> tuple[list[jobs.Seen], float]:
        """What MRS shows under the job's name, and when it was asked; asks until it answers."""
        failures = 0
        nowhere = self._ways[job.api].nowhere if isinstance(job.work, jobs.Batch) else _NO_CLUSTER
        while True:
            started_s = self._time.monotonic_s()
            try:
                return await self._marked(job), started_s
            except errors.MrsRefused as error:
                # NB: only "no such cluster" means that nothing can be there; credentials that are refused mean nothing.
                if error.code in nowhere:
                    return [], started_s
                _log.warning("look_up_refused", request=job.id, error=str(error))
                wait_s = self._wait_s(failures := failures + 1, error)
            except (errors.MrsUntouched, errors.MrsBusy, errors.MrsThrottled) as error:
                _log.warning("look_up_failed", request=job.id, error=str(error))
                wait_s = self._wait_s(failures := failures + 1, error)
            await asyncio.sleep(wait_s)

    def _wait_s(self, failures: int, error: errors.MrsError) -> float:
        """How long to wait before a read is tried again: our own backoff, or what MRS asks for if that is longer."""
        return max(self._pause.delay_s(failures), getattr(error, "retry_after_s", 0.0))

    async def _marked(self, job: jobs.Job) -> list[jobs.Seen]:
        """Jobs or clusters on MRS with this attempt's name, the oldest first."""
        if isinstance(job.work, jobs.Call):
            return await self._caller.sought(job, job.work)
        return await self._ways[job.api].marked(job)

    async def stop(self, job: jobs.Job) -> None:
        """
        Ask MRS to stop the job; whether it did is for the tracker to see.

        Source: CancelSql; for jobs see `ways`.
        """
        if job.seen is None:
            return
        try:
            if job.statement:
                path = {"cluster_id": job.cluster, "sql_id": job.seen.job_id}
                await self._client.call(sql_calls.CANCEL_SQL, path=path, spend_budget=True)
            else:
                await self._ways[job.api].stop(job.cluster, job.seen.job_id)
        except errors.MrsError as error:
            _log.warning("stop_not_accepted", request=job.id, error=str(error))

    async def stop_twin(self, job: jobs.Job, job_id: str) -> bool:
        """
        Ask MRS to stop a further job of the same submission, unless it has ended; whether there is nothing more to ask.

        Neither that MRS takes the wish nor that it refuses it means that the job goes on no more. Source: StopJob: an
        accepted kill is no end yet; 0175: killing the job failed.
        """
        way = self._ways[job.api]
        is_gone = False
        try:
            shown = await way.show(job.cluster, job_id)
            is_gone = isinstance(shown, ways.Gone)
            if isinstance(shown, jobs.Seen) and verdict.of_job(shown.job_state, shown.job_result) in _OVER:
                _log.warning("twin_stopped", request=job.id, job_id=job_id, state=shown.job_state)
                return True
            await way.stop(job.cluster, job_id)
        except errors.MrsRefused as error:
            _log.warning("twin_not_stopped", request=job.id, job_id=job_id, error=str(error))
            return is_gone or error.code in codes.NO_SUCH_JOB | way.nowhere
        except errors.MrsError as error:
            _log.warning("twin_not_stopped_yet", request=job.id, job_id=job_id, error=str(error))
        return False

    async def collect(self, job: jobs.Job) -> facts.Fact:
        """Read the result of a job that has succeeded; after `collect_within_s` seconds, say why there is none."""
        give_up_s = self._time.monotonic_s() + self._settings.collect_within_s
        failures = 0
        while True:
            try:
                return facts.Collected(await self._ways[job.api].collect(job))
            except errors.MrsRefused as error:
                return facts.Collected(events.Result(unavailable=str(error)))
            except (errors.MrsBusy, errors.MrsUntouched, errors.MrsThrottled) as error:
                failures += 1
                wait_s = self._wait_s(failures, error)
                if self._time.monotonic_s() + wait_s > give_up_s:
                    return facts.Collected(events.Result(unavailable=str(error)))
                await asyncio.sleep(wait_s)


_OVER: Final = frozenset(verdict.Verdict) - {verdict.Verdict.WAITING, verdict.Verdict.RUNNING}
_FURTHEST: Final = (verdict.Verdict.SUCCEEDED, verdict.Verdict.RUNNING, verdict.Verdict.WAITING)


def _found(job: jobs.Job, found: list[jobs.Seen]) -> facts.Found:
    """Which of the jobs with the mark is kept: the one that got furthest, of equals the oldest."""

    def rank(seen: jobs.Seen) -> int:
        known = verdict.of_job(seen.job_state, seen.job_result)
        return _FURTHEST.index(known) if known in _FURTHEST else len(_FURTHEST)

    kept = min(found, key=rank)
    twins = tuple(seen.job_id for seen in found if seen is not kept)
    if twins:
        _log.error("several_jobs_with_one_mark", request=job.id, kept=kept.job_id, twins=twins)
    return facts.Found(kept, () if isinstance(job.work, jobs.Call) else twins)


def _told(error: errors.MrsError, job: jobs.Job) -> str:
    """The error as it may be logged: MRS may quote what it was asked."""
    return discreet.told(str(error), job.work)


def refusal(error: errors.MrsError) -> jobs.Reason:
    """The reason of an event, from what MRS said."""
    code = error.code or (f"http_{error.status}" if error.status is not None else "no_reply")
    return jobs.Reason("refused", code, error.message, mrs_request_id=error.request_id)
