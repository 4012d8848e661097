"""Trace the steps towards MRS: submit, look up, collect, stop, and the HTTP request of each call within them."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar
from urllib import parse

import structlog
from opentelemetry import trace

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine import tracing
from mrs_relay.engine.execution import chunk_sink, submitter
from mrs_relay.engine.model import decisions, facts, jobs
from mrs_relay.engine.scheduling import pauses
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import operation
from mrs_relay.obs import client as obs_clients
from mrs_relay.traces import identity, recorder, tenant_traces

_BAD: Final = (facts.SubmissionInDoubt, facts.SubmissionRefused, facts.SubmissionNotFound)
"""Outcomes of a step that are shown as errors; the others are what may well happen."""

_STEP: Final[contextvars.ContextVar[trace.SpanContext | None]] = contextvars.ContextVar("step", default=None)
"""The span of the step that runs."""

T = TypeVar("T")
F = TypeVar("F", bound=facts.Fact | None)

Work = Coroutine[Any, Any, T]

_FAILED_STATUS: Final = 400
_PORTS: Final = {"http": 80, "https": 443}


class ProcessTracing:
    """
    Trace one process.

    Args:
        record: takes the spans.
    """

    def __init__(self, record: recorder.Recorder) -> None:
        self._record = record

    @property
    def client(self) -> Callable[..., clients.Client]:
        """Makes a client of MRS whose calls are traced."""
        return functools.partial(TracedClient, record=self._record)

    def tenant(self, requests: str, published: str, time: clock.Clock) -> tracing.Traces:
        """Trace a tenant whose requests and events have these topics."""
        return tenant_traces.TenantTraces(self._record, requests, published, time)

    @property
    def submitter(self) -> Callable[..., submitter.Submitter]:
        """Makes a submitter whose steps are traced."""
        return functools.partial(TracedSubmitter, record=self._record)


class Steps:
    """
    Record the steps of jobs.

    Args:
        record: takes the spans.
        time: the clock.
    """

    def __init__(self, record: recorder.Recorder, time: clock.Clock) -> None:
        self._record = record
        self._time = time

    def of(self, name: str, job: jobs.Job, work: Work[F]) -> Work[F]:
        """Return the step with its span recorded; the step itself where the job has no trace."""
        came = None if job.traceparent is None else self._record.wanted(job.traceparent)
        return work if came is None else self._traced(name, job, work, came)

    async def _traced(self, name: str, job: jobs.Job, work: Work[F], came: trace.SpanContext) -> F:
        # Log lines of the step carry the ids of its span.
        context = identity.within(came, recorder.new_span_id())
        begun_ms, outcome, error = self._time.now_ms(), "", ""
        ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
        token = _STEP.set(context)

        try:
            with structlog.contextvars.bound_contextvars(**ids):
                fact = await work
            outcome = "" if fact is None else type(fact).__name__
            error = outcome if isinstance(fact, _BAD) else ""
        except (Exception, asyncio.CancelledError) as failed:
            error = type(failed).__name__
            raise
        finally:
            _STEP.reset(token)
            attributes = {**tenant_traces.described(job), "mrs_relay.attempt": job.attempt}
            if outcome:
                attributes["mrs_relay.outcome"] = outcome
            parent, ended_ms = identity.request_span(came, job), self._time.now_ms()
            span = recorder.Finished(name, context, parent, begun_ms, ended_ms, attributes, error=error)
            self._record.record(span)

        return fact


class TracedSubmitter(submitter.Submitter):
    """
    A submitter whose steps are recorded.

    Args:
        client: as `Submitter`.
        outcomes: the same.
        settings: the same.
        time: the same.
        objects: the same.
        record: takes the spans.
    """

    def __init__(
        self,
        client: clients.Client,
        outcomes: pauses.Pauses,
        settings: engine_settings.EngineSettings,
        time: clock.Clock,
        objects: obs_clients.Client | None = None,
        *,
        record: recorder.Recorder,
    ) -> None:
        super().__init__(client, outcomes, settings, time, objects)
        self._steps = Steps(record, time)

    def submit(self, job: jobs.Job, still_ours: Callable[[], bool]) -> Work[facts.Fact]:
        """See `Submitter`."""
        return self._steps.of("submit", job, super().submit(job, still_ours))

    def look_up(self, job: jobs.Job) -> Work[facts.Fact]:
        """See `Submitter`."""
        return self._steps.of("look up", job, super().look_up(job))

    def collect(self, job: jobs.Job, sink: chunk_sink.ChunkSink | None = None) -> Work[facts.ResultCollected]:
        """See `Submitter`."""
        return self._steps.of("collect", job, super().collect(job, sink))

    def read_log(self, job: jobs.Job, rules: decisions.LogRules | None) -> Work[facts.LogRead]:
        """See `Submitter`."""
        return self._steps.of("read log", job, super().read_log(job, rules))

    def stop(self, job: jobs.Job) -> Work[None]:
        """See `Submitter`."""
        return self._steps.of("stop", job, super().stop(job))


class TracedClient(clients.Client):
    """
    A client of MRS that records its HTTP requests within the steps of traced jobs, and no others.

    Args:
        group: as `Client`.
        door: the same.
        now: the same.
        signer: the same.
        record: takes the spans.
    """

    def __init__(self, *given: Any, record: recorder.Recorder) -> None:  # noqa: ANN401 - those of `Client`
        super().__init__(*given)
        self._record = record
        address = parse.urlsplit(self._group.base_url)
        self._base_url = f"{address.scheme}://{address.hostname}"
        port = address.port or _PORTS[address.scheme]
        self._server: dict[str, str | int] = {"server.address": address.hostname or "", "server.port": port}

    def _send(
        self, wanted: operation.AnyOperation, path: str, query: str, body: bytes, timeout_s: float
    ) -> Work[clients.Sent]:
        """Send a call; see `Client`."""
        sending, step = super()._send(wanted, path, query, body, timeout_s), _STEP.get()
        return sending if step is None else self._traced(wanted, sending, step)

    async def _traced(
        self, wanted: operation.AnyOperation, sending: Work[clients.Sent], step: trace.SpanContext
    ) -> clients.Sent:
        begun_ms, status, failed = self._clock.now_ms(), 0, ""
        try:
            sent = await sending
            status = sent[0].status
        except (errors.MrsError, asyncio.CancelledError) as error:
            failed = type(error).__name__
            raise
        finally:
            self._note(wanted, step, begun_ms, status, failed)
        return sent

    def _note(
        self, wanted: operation.AnyOperation, step: trace.SpanContext, begun_ms: int, status: int, failed: str
    ) -> None:
        # NB: the operation's template in place of the path and the query: those hold the request's own values.
        attributes: dict[str, str | int] = {
            "http.request.method": wanted.verb,
            "url.template": wanted.path,
            "url.full": self._base_url + wanted.path,
            "mrs.operation": wanted.name,
            **self._server,
        }

        if status:
            attributes["http.response.status_code"] = status

        self._record.record(
            recorder.Finished(
                f"{wanted.verb} {wanted.path}",
                identity.within(step, recorder.new_span_id()),
                step,
                begun_ms,
                self._clock.now_ms(),
                attributes,
                trace.SpanKind.CLIENT,
                error=failed or (str(status) if status >= _FAILED_STATUS else ""),
            )
        )
