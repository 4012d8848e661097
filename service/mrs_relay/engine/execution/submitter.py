"""
Submit a job once, and look up a submission in doubt before the job is submitted again.

MRS has no idempotency key, so a submission whose reply was lost must never be repeated blindly. `submit` sends one
request and returns what is certain; `look_up` searches for the token in the job's name; `collect` reads the rows of a
job that has succeeded. None of them decides anything: they return facts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, clock
from mrs_relay.engine import log_counts, redaction
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.execution import chunk_sink, deliveries, job_logs
from mrs_relay.engine.model import decisions, facts, jobs, verdict
from mrs_relay.engine.scheduling import breaker, lanes, pauses
from mrs_relay.engine.work import adapter, codes, kinds
from mrs_relay.engine.work import cluster as cluster_work
from mrs_relay.messages import events
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import codes as mrs_codes
from mrs_relay.mrs import permission
from mrs_relay.obs import client as obs_clients

_log = structlog.get_logger(__name__)

_ONE_READ_S: Final = 5.0
"""Seconds for reading a result even if its time is up: a replica that took the job over still tries once."""

_UNREADABLE_TRIES: Final = 2

_LATE_PAUSE: Final = backoff.Backoff(first_s=10.0, most_s=300.0)
"""Pauses between two reads of rows that come late."""


class Submitter:
    """
    Make the calls that start jobs and read their results.

    Args:
        client: the MRS client.
        outcomes: gets the outcome of each submission, for pauses of clusters and connections.
        settings: the waits.
        time: the clock.
        objects: the client of OBS; None: no rows are read from there.
    """

    def __init__(
        self,
        client: clients.Client,
        outcomes: pauses.Pauses,
        settings: engine_settings.EngineSettings,
        time: clock.Clock,
        objects: obs_clients.Client | None = None,
    ) -> None:
        self._deliveries = deliveries.Deliveries(objects, settings.inline_result_bytes, time)
        self._logs = job_logs.JobLogs(objects, time)
        self._calls = kinds.connect(client, settings)
        self._client = client
        self._outcomes = outcomes
        self._looking = lanes.InFlight(settings.max_others_in_flight)
        self._settings = settings
        self._time = time
        self._pause = backoff.Backoff(first_s=0.5, most_s=30.0)

    @property
    def log_counts(self) -> log_counts.LogCounts:
        """The readings of logs so far."""
        return self._logs.counts

    async def submit(self, job: jobs.Job, still_ours: Callable[[], bool]) -> facts.Fact:
        """
        Submit the job to MRS, once.

        The job must be committed in state SUBMITTING. MRS may accept it and the reply may still be lost: then the fact
        is `SubmissionInDoubt`, and a look-up must follow, never a submission.

        Args:
            job: the job to submit; its name contains the token that a look-up finds.
            still_ours: called before the call, and again when it has a connection; False: nothing is sent.
        """
        if not still_ours():
            return facts.SubmissionNotApplied()

        has_ended = False

        def may_send() -> bool:
            nonlocal has_ended
            has_ended = not still_ours()
            return not has_ended

        begun_s = self._time.monotonic_s()
        try:
            with permission.asking(may_send):
                fact = await self._calls_of(job).submit(job)
        except errors.MrsAmbiguous as error:
            self._outcomes.failed(kinds.place(job), begun_s, _answer(error))
            return facts.SubmissionInDoubt(str(error), error.request_id)
        except errors.MrsRefused as error:
            if error.status is not None:  # None: the relay's own client refused to send it
                self._outcomes.answered(kinds.place(job), begun_s)
            return facts.SubmissionRefused(refusal(error))
        except errors.MrsError as error:
            if not has_ended:  # otherwise it says nothing about MRS
                self._note(job, error, begun_s)
            return facts.SubmissionNotApplied()

        self._outcomes.worked(kinds.place(job), begun_s)
        return fact

    def _note(self, job: jobs.Job, error: errors.MrsError, begun_s: float) -> None:
        """Pause the place, or the whole connection, that a failed submission without effect is evidence against."""
        place, answer = kinds.place(job), _answer(error)

        match error:
            case errors.MrsBusy(code=code) if code in codes.FULL:
                wait_s = self._outcomes.full(place, answer)
                _log.info("cluster_full", cluster=job.cluster, code=code, wait_s=wait_s)
            case errors.MrsBusy(code=code):
                wait_s = self._outcomes.refused(place, begun_s, answer)
                _log.info("cluster_refused", cluster=job.cluster, operation=place[1], code=code, wait_s=round(wait_s))
            case errors.MrsThrottled(retry_after_s=wait_s, status=int()):
                self._outcomes.pause(wait_s)
                _log.warning("mrs_throttled", wait_s=wait_s)
            case errors.MrsThrottled(retry_after_s=wait_s):  # the relay's own budget of a related read: nothing sent
                self._outcomes.rest(place, wait_s)
            case errors.MrsUnreachable():
                wait_s = self._outcomes.unreachable(begun_s)
                _log.warning("submission_not_sent", error=_error_text(error, job), wait_s=round(wait_s, 2))
            case _:
                wait_s = self._outcomes.failed(place, begun_s, answer)
                _log.warning("submission_failed", error=_error_text(error, job), wait_s=round(wait_s, 2))

    async def look_up(self, job: jobs.Job) -> facts.Fact:
        """
        Find out whether a submission in doubt took effect, by the token in the job's name.

        Reads at once, as a job that MRS shows already needs no wait. If MRS does not show it, waits until a request
        that was on its way has arrived, then reads until MRS shows the token or the whole visibility window has passed.
        Failed reads do not count.
        """
        settled_s = self._time.monotonic_s() + self._settings.settle_s
        give_up_s = settled_s + self._settings.visibility_s

        while True:
            found, started_s = await self._find_by_token(job)
            if found:
                return _keep_one(job, found)
            if started_s >= give_up_s:
                return facts.SubmissionNotFound(is_gone=found is None)

            is_settled = started_s >= settled_s
            await asyncio.sleep(self._settings.look_up_interval_s if is_settled else settled_s - started_s)

    async def look_again(self, job: jobs.Job, look: jobs.SecondLook) -> facts.DuplicatesChecked:
        """
        Look for jobs of an attempt that was in doubt, when that is due: the whole time of a look-up after the first.

        By then each request that was on its way has arrived and is listed, so MRS shows a second job if there is one.
        """
        await asyncio.sleep(max(0, look.due_ms - self._time.now_ms()) / 1000)
        found = (await self._find_by_token(msgspec.structs.replace(job, attempt=look.attempt)))[0] or []
        failed = tuple(seen.job_id for seen in found if facts.JobObserved(seen).outcome in _ENDED_BADLY)
        return facts.DuplicatesChecked(look.attempt, tuple(seen.job_id for seen in found), failed)

    async def _find_by_token(self, job: jobs.Job) -> tuple[list[jobs.MrsStatus] | None, float]:
        """
        Return the jobs that MRS shows under the job's name, and the time of the read; reads until MRS answers.

        Returns None for the jobs if their cluster is there no more. A list that is refused while it lives is wrong.
        """
        failures = 0
        calls = self._calls_of(job)

        while True:
            try:
                async with self._looking.place((None, job.cluster)):
                    started_s = self._time.monotonic_s()
                    return await calls.find_submitted(job), started_s
            except (errors.MrsRefused, errors.MrsBusy) as error:
                # NB: an API that the cluster does not have proves that there is no job; refused credentials do not.
                if error.code in calls.nowhere - {codes.NO_SUCH_CLUSTER}:
                    return [], started_s
                if await cluster_work.is_gone(self._client, job.cluster, error):
                    return None, started_s
                _log.warning("look_up_refused", request=job.id, error=str(error))
                wait_s = self._wait_s(failures := failures + 1, error)
            except (errors.MrsUntouched, errors.MrsThrottled) as error:
                _log.warning("look_up_failed", request=job.id, error=str(error))
                wait_s = self._wait_s(failures := failures + 1, error)
            await asyncio.sleep(wait_s)

    def _wait_s(self, failures: int, error: errors.RelayError) -> float:
        """Return the wait before a read is repeated: the relay's own backoff, or MRS's Retry-After if it is longer."""
        return max(self._pause.delay_s(failures), getattr(error, "retry_after_s", 0.0))

    def _calls_of(self, job: jobs.Job) -> adapter.WorkCalls:
        return self._calls[kinds.of(job).name]

    async def stop(self, job: jobs.Job) -> None:
        """Ask MRS to stop the job; the tracker observes whether it ends."""
        if job.seen is None:
            return
        try:
            await self._calls_of(job).stop(job.cluster, job.seen.job_id)
        except errors.MrsError as error:
            _log.warning("stop_not_accepted", request=job.id, error=str(error))

    async def stop_duplicate(self, job: jobs.Job, job_id: str) -> bool:
        """
        Ask MRS to stop a duplicate, unless it has ended; return whether it has ended or is gone.

        Whether MRS accepts or refuses the stop, the job may continue. Source: StopJob: an accepted kill is no end yet;
        0175: killing the job failed.
        """
        calls = self._calls_of(job)
        is_gone = False

        try:
            shown = await calls.show(job.cluster, job_id)
            is_gone = isinstance(shown, adapter.NoSuchJob)
            if not isinstance(shown, adapter.NoSuchJob) and shown.outcome in _OVER:
                _log.warning("duplicate_job_stopped", request=job.id, job_id=job_id, state=shown.seen.job_state)
                return True

            await calls.stop(job.cluster, job_id)
        except (errors.MrsRefused, errors.MrsBusy) as error:
            _log.warning("duplicate_job_not_stopped", request=job.id, job_id=job_id, error=str(error))
            # NB: "no such cluster" may be wrong, and a terminated cluster refuses otherwise: the cluster shows it.
            is_gone = is_gone or error.code in codes.NO_SUCH_JOB | calls.nowhere - {codes.NO_SUCH_CLUSTER}
            return is_gone or await cluster_work.is_gone(self._client, job.cluster, error)
        except errors.MrsError as error:
            _log.warning("duplicate_job_not_stopped_yet", request=job.id, job_id=job_id, error=str(error))

        return False

    async def collect(self, job: jobs.Job, sink: chunk_sink.ChunkSink | None = None) -> facts.ResultCollected:
        """
        Read the result of a job that has succeeded, or return the reason why there is none.

        Ends within `collect_within_s` seconds after the job was observed to have succeeded, by this replica or an
        earlier one; rows that come late are read until `late_until_ms`. The result is read once in any case, and not
        again if MRS reports that it cannot be read.

        Args:
            job: the job, in state COLLECTING, or SUCCEEDED while its rows are late.
            sink: takes rows in chunks; None: the tenant has no topic for them.
        """
        limit_s, pause = self._patience(job)
        give_up_s = self._time.monotonic_s() + limit_s
        failures = 0
        why = f"{'OBS' if job.late_until_ms else 'MRS'} did not answer within {limit_s:.0f} s"

        try:
            async with asyncio.timeout(limit_s):
                while True:
                    try:
                        return facts.ResultCollected(await self._result_of(job, sink))
                    except (errors.MrsError, errors.ObsError) as error:
                        failures += 1
                        why = _no_result(error)
                        code = getattr(error, "code", None)
                        _log.warning("result_not_read", request=job.id, code=code, error=_error_text(error, job))
                        wait_s = max(pause.delay_s(failures), getattr(error, "retry_after_s", 0.0))
                        may_follow = _may_be_read_later(error, failures)
                        if not may_follow or self._time.monotonic_s() + wait_s > give_up_s:
                            return await self._without_result(job, why, may_follow=may_follow)
                    await asyncio.sleep(wait_s)
        except TimeoutError:
            _log.warning("result_not_read", request=job.id, error=why)
            return await self._without_result(job, why, may_follow=True)

    def _patience(self, job: jobs.Job) -> tuple[float, backoff.Backoff]:
        """Return for how long a result is read, in seconds, and the pauses between two tries."""
        until_ms = job.late_until_ms or job.run_deadline_ms
        left_s = (until_ms - self._time.now_ms()) / 1000
        if job.late_until_ms:
            return max(_ONE_READ_S, left_s), _LATE_PAUSE
        most_s = self._settings.collect_within_s
        return max(_ONE_READ_S, min(most_s, left_s) if until_ms else most_s), self._pause

    async def remove_rows(self, job: jobs.Job) -> int:
        """Remove what a job has written to the folders of its rows; as `Deliveries.remove`."""
        return await self._deliveries.remove(job)

    async def read_log(self, job: jobs.Job, rules: decisions.LogRules | None) -> facts.LogRead:
        """Read the end of the log of a job that has ended badly; see `job_logs`."""
        return await self._logs.read(job, rules)

    async def _result_of(self, job: jobs.Job, sink: chunk_sink.ChunkSink | None) -> events.Result:
        if job.delivery is None or job.location is None:
            return await self._calls_of(job).collect(job)
        read = self._deliveries.read_late if job.late_until_ms else self._deliveries.read
        return await read(job, sink)

    async def _without_result(self, job: jobs.Job, why: str, *, may_follow: bool) -> facts.ResultCollected:
        if job.delivery is None or job.location is None:
            return facts.ResultCollected(events.Result(unavailable=why))
        return facts.ResultCollected(
            await self._deliveries.without_rows(job.delivery, job.location, why), may_follow=may_follow
        )


_ENDED_BADLY: Final = frozenset({verdict.Verdict.FAILED, verdict.Verdict.KILLED})
_OVER: Final = frozenset(verdict.Verdict) - {verdict.Verdict.WAITING, verdict.Verdict.RUNNING}
_FURTHEST: Final = (verdict.Verdict.SUCCEEDED, verdict.Verdict.RUNNING, verdict.Verdict.WAITING)


def _keep_one(job: jobs.Job, found: list[jobs.MrsStatus]) -> facts.SubmissionFound:
    """Keep one of the jobs with the token: the one that got furthest, of equals the oldest."""

    def rank(seen: jobs.MrsStatus) -> int:
        known = facts.JobObserved(seen).outcome
        return _FURTHEST.index(known) if known in _FURTHEST else len(_FURTHEST)

    # NB: `min` returns the first of equals, and `found` is ordered by submission.
    kept = min(found, key=rank)
    duplicates = tuple(seen.job_id for seen in found if seen is not kept)
    return facts.SubmissionFound(kept, duplicates if kinds.of(job).traits.is_listed else ())


def _answer(error: errors.MrsError) -> breaker.Answer:
    """Return MRS's answer without its text, which could quote a request."""
    code = error.code or (f"http_{error.status}" if error.status is not None else "no_reply")
    known = mrs_codes.MEANINGS.get(error.code or "")
    return breaker.Answer(code, known.text if known is not None else "no known code")


def _may_be_read_later(error: errors.MrsError | errors.ObsError, failures: int) -> bool:
    """Return whether to read a result again: once if MRS cannot read it, since the first failure may be temporary."""
    if isinstance(error, errors.MrsError) and error.code == codes.UNREADABLE_RESULT:
        return failures < _UNREADABLE_TRIES
    return not isinstance(error, errors.MrsRefused | errors.ObsRefused)


def _no_result(error: errors.MrsError | errors.ObsError) -> str:
    if isinstance(error, errors.MrsError) and error.code == codes.UNREADABLE_RESULT:
        return f"MRS cannot read the rows, perhaps because the result is over its own limit: {error}"
    return str(error)


def _error_text(error: errors.RelayError, job: jobs.Job) -> str:
    """Return the error's text as it may be logged: MRS may quote the request."""
    return redaction.redact(str(error), kinds.of(job).asked(job))


def refusal(error: errors.MrsError) -> jobs.Reason:
    """Build the reason of an event from MRS's refusal."""
    return jobs.Reason("refused", _answer(error).code, error.message, mrs_request_id=error.request_id)
