"""
Trace the commits of one tenant's partitions, and the requests that begin or end with them.

A commit is a span of a trace of its own, linked to the requests that it concerns. In the trace of a request, whose
first span is the producer's, it stands for these spans:

    producer's span
    ├─ process <requests>      the message, from its decision to its commit
    └─ request                 from its arrival to its last event; recorded with that
       ├─ attempt              from its intent to its end; linked to the attempt before
       │  └─ run               from its start on MRS to its end there, by MRS's clock
       ├─ submit, look up, …   see `process`
       └─ send <events>        an event, from its decision to its commit
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import structlog
from opentelemetry import trace

from mrs_relay.common import clock, faults
from mrs_relay.engine.model import facts, jobs
from mrs_relay.messages import events
from mrs_relay.traces import identity, recorder

_log = structlog.get_logger(__name__)

_MOST_LINKS: Final = 128
"""Links of a commit's span at most, as OpenTelemetry's own limit is."""

_SAMPLED: Final = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_FAILED: Final = frozenset({jobs.State.FAILED, jobs.State.UNKNOWN, jobs.State.REJECTED})
_IN_ATTEMPT: Final = jobs.FOLLOWED | {jobs.State.SUBMITTING, jobs.State.IN_DOUBT, jobs.State.COLLECTING}
"""States in which an attempt is under way."""


def described(job: jobs.Job) -> dict[str, str | int]:
    """Return the attributes that name a job; none holds what the request asks for."""
    attributes: dict[str, str | int] = {"mrs_relay.request.id": job.id, "mrs_relay.request.source": job.source}
    if job.cluster:
        attributes["mrs.cluster.id"] = job.cluster
    return attributes


class _Commit(NamedTuple):
    """One commit: its own span, and the moments that its spans share."""

    context: trace.SpanContext
    partition: int
    decided_ms: int
    ended_ms: int

    @property
    def moments(self) -> tuple[int, int]:
        """From its decisions to its end."""
        return self.decided_ms, self.ended_ms


class _Traced(NamedTuple):
    """
    What a commit has to record.

    Attributes:
        sent: events, with the context that each carries on.
        held: jobs -> their context; one that has dropped it has an event in the same commit that still has it.
    """

    sent: list[tuple[events.Event, trace.SpanContext]]
    held: dict[jobs.LedgerKey, trace.SpanContext]


class TenantTraces:
    """
    Trace one tenant.

    Args:
        record: takes the spans.
        requests: topic of its requests.
        published: topic of its events.
        time: the clock.
    """

    def __init__(self, record: recorder.Recorder, requests: str, published: str, time: clock.Clock) -> None:
        self._record = record
        self._requests = requests
        self._events = published
        self._time = time

    def started(self, fact: facts.Fact) -> facts.Fact:
        """See `tracing.Traces`."""
        if not isinstance(fact, facts.Requested | facts.InvalidRequest) or fact.job.traceparent is not None:
            return fact
        own = identity.own_trace(fact.job, self._record.bound)
        if own is None:
            return fact
        job = msgspec.structs.replace(fact.job, traceparent=identity.write(own), tracestate=None)
        return msgspec.structs.replace(fact, job=job)

    def committed(
        self,
        partition: int,
        decided_ms: int,
        changed: Mapping[jobs.LedgerKey, jobs.Job | None],
        before: Mapping[jobs.LedgerKey, jobs.Job],
        published: Sequence[events.Event],
    ) -> None:
        """See `tracing.Traces`."""
        try:
            traced = self._traced(changed, published)
            if traced.sent or traced.held:
                self._committed(self._commit(partition, decided_ms), changed, before, traced, len(published))
        except Exception as error:  # noqa: BLE001 - the commit has happened: a span must not stop its partition
            _log.error("spans_not_recorded", partition=partition, error=faults.name(error))

    def _traced(self, changed: Mapping[jobs.LedgerKey, jobs.Job | None], published: Sequence[events.Event]) -> _Traced:
        """Find what a commit has to record; most requests have no trace."""
        # NB: plain loops and the flag's text alone: this is all that traces cost a request that is not chosen.
        found = _Traced([], {})
        for event in published:
            if event.traceparent is not None and (context := self._record.wanted(event.traceparent)) is not None:
                found.sent.append((event, context))
        for key, job in changed.items():
            if job is not None and job.traceparent is not None:
                context = self._record.wanted(job.traceparent)
                if context is not None:
                    found.held[key] = context
        return found

    def _commit(self, partition: int, decided_ms: int) -> _Commit:
        ids = secrets.randbits(128), recorder.new_span_id()
        context = trace.SpanContext(*ids, is_remote=False, trace_flags=_SAMPLED)
        return _Commit(context, partition, decided_ms, self._time.now_ms())

    def _committed(
        self,
        commit: _Commit,
        changed: Mapping[jobs.LedgerKey, jobs.Job | None],
        before: Mapping[jobs.LedgerKey, jobs.Job],
        traced: _Traced,
        published: int,
    ) -> None:
        # The contexts that the requests came with: an event has it even if the job has just dropped it.
        came = dict(traced.held)
        for event, context in traced.sent:
            key = jobs.ledger_key(event.data.request.source, event.data.request.id)
            job, own = changed.get(key), _traceparent(changed.get(key), before.get(key))

            # An answer to another message belongs to the trace of that message.
            if job is None or event.data.repeated or own not in {None, event.traceparent}:
                self._sent(commit, event, context)
            else:
                came[key] = context
                self._sent(commit, event, identity.request_span(context, job))

        links = []
        for key, context in came.items():
            job = changed[key]
            if job is not None and job.state is not jobs.State.PENDING_CANCEL:
                links.append(identity.request_span(context, job))
                self._changed(commit, context, before.get(key), job)

        if links:
            counts = {"mrs_relay.jobs": len(changed), "mrs_relay.events": published}
            attributes = {**self._message(commit), **counts}
            name, most = f"commit {self._requests}", links[:_MOST_LINKS]
            self._record.record(recorder.Finished(name, commit.context, None, *commit.moments, attributes, links=most))

    def _sent(self, commit: _Commit, event: events.Event, parent: trace.SpanContext) -> None:
        data = event.data
        attributes: recorder.Attributes = {
            "messaging.system": "kafka",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": self._events,
            "messaging.message.id": event.event_id,
            "messaging.message.conversation_id": event.correlation_id,
            "mrs_relay.state": data.state,
            "mrs_relay.sequence": data.sequence,
        }
        context = identity.within(parent, recorder.new_span_id())
        name, kind = f"send {self._events}", trace.SpanKind.PRODUCER
        self._record.record(recorder.Finished(name, context, parent, *commit.moments, attributes, kind))

    def _changed(self, commit: _Commit, came: trace.SpanContext, was: jobs.Job | None, job: jobs.Job) -> None:
        """Record what has begun or ended with a job's change."""
        is_new = was is None or was.state is jobs.State.PENDING_CANCEL or was.order != job.order
        if is_new:
            attributes = {
                **self._message(commit),
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.kafka.offset": job.order,
                "messaging.message.id": job.id,
            }
            context = identity.within(came, recorder.new_span_id())
            kind, name = trace.SpanKind.CONSUMER, f"process {self._requests}"
            self._record.record(
                recorder.Finished(name, context, came, *commit.moments, attributes, kind, [commit.context])
            )

        was = None if is_new else was
        if (ended := _ended_attempt(was, job)) is not None:
            self._attempted(commit, came, ended, job)
        if jobs.TRAITS[job.state].last and (was is None or not jobs.TRAITS[was.state].last):
            self._ended(commit, came, job)

    def _attempted(self, commit: _Commit, came: trace.SpanContext, ended: jobs.Job, job: jobs.Job) -> None:
        """
        Record an attempt that is over, with its run on MRS.

        Args:
            commit: the commit.
            came: the context that the request came with.
            ended: the job with the attempt's number, its intent and its last status on MRS.
            job: as committed now.
        """
        request, number = identity.request_span(came, job), ended.attempt
        context = identity.attempt_span(came, job, number)
        attributes = {**described(job), "mrs_relay.attempt": number}
        links = [identity.attempt_span(came, job, number - 1)] if number > 1 else []
        self._record.record(
            recorder.Finished(
                "attempt",
                context,
                request,
                ended.intent_ms,
                commit.decided_ms,
                attributes,
                links=links,
                error=_error(job),
            )
        )

        seen = ended.seen
        if seen is None or not (clock.is_moment(seen.started_ms) and clock.is_moment(seen.finished_ms)):
            return
        about = {"mrs.job.id": seen.job_id, "mrs.job.state": seen.job_state, "mrs.job.result": seen.job_result}
        run = identity.within(came, recorder.new_span_id())
        self._record.record(
            recorder.Finished("run", run, context, seen.started_ms, seen.finished_ms, {**attributes, **about})
        )

    def _ended(self, commit: _Commit, came: trace.SpanContext, job: jobs.Job) -> None:
        """Record the request from its arrival to its last event, both as the ledger has them."""
        context = identity.request_span(came, job)
        parent = None if context.span_id == came.span_id else came
        attributes = {**described(job), "mrs_relay.state": job.state.value, "mrs_relay.attempts": job.attempt}
        if job.reason is not None:
            attributes |= {"mrs_relay.reason.class": job.reason.kind, "mrs_relay.reason.code": job.reason.code}
        begun_ms = job.arrived_ms or commit.decided_ms
        self._record.record(
            recorder.Finished(
                f"request {job.subject}", context, parent, begun_ms, commit.decided_ms, attributes, error=_error(job)
            )
        )

    def _message(self, commit: _Commit) -> dict[str, str | int]:
        return {
            "messaging.system": "kafka",
            "messaging.destination.name": self._requests,
            "messaging.destination.partition.id": str(commit.partition),
        }


def _traceparent(job: jobs.Job | None, was: jobs.Job | None) -> str | None:
    """Return the trace context of a job's request, which the job drops when it ends."""
    now = None if job is None else job.traceparent
    return now or (None if was is None else was.traceparent)


def _ended_attempt(was: jobs.Job | None, job: jobs.Job) -> jobs.Job | None:
    """Return the job as it was in an attempt that this change has ended; None: it has ended none."""
    if jobs.TRAITS[job.state].last:
        begun_ms = 0 if was is None else was.intent_ms
        is_under_way = (was is not None and was.state in _IN_ATTEMPT) or job.intent_ms != begun_ms
        return job if job.attempt and is_under_way else None
    return was if was is not None and was.state in _IN_ATTEMPT and was.attempt < job.attempt else None


def _error(job: jobs.Job) -> str:
    """Return the class of the error that a job, or its attempt, has ended with."""
    if job.reason is not None and job.state in _FAILED:
        return job.reason.code
    return "retried" if job.state is jobs.State.QUEUED else ""
