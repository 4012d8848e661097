"""
A relay for tests of services that use `RelayClient`: no Kafka, no MRS, no sockets; virtual time is fine.

It reads and writes the real messages on a broker in memory and answers with set outcomes; it emulates no MRS.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import pathlib
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from mrs_relay import errors
from mrs_relay.client import files, relay
from mrs_relay.common import clock, tasks
from mrs_relay.kafka import records, settings, topic_io
from mrs_relay.kafka.memory import memory_broker, memory_topic_io
from mrs_relay.messages import digests, envelope, events, reasons, requests

_SOURCE: Final = "/mrs-relay/testing"
_SUBJECTS: Final[dict[str, events.Subject]] = {"sql": "sql", "cluster": "cluster", "call": "call"}
_READ_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Accepted:
    digest: str
    data: events.EventData
    record: envelope.Envelope
    key: bytes


@dataclass(frozen=True, slots=True)
class _Outcome:
    states: tuple[events.State, ...]
    result: events.Result | None = None
    reason: reasons.Reason | None = None


class Relay:
    """
    A relay with scripted outcomes; an async context manager.

    `will_…` sets the outcomes of the next requests, in order; without one a request succeeds with no rows.

    Attributes:
        received: the valid requests, in order, without cancels.
        uploaded: the content of each file that was uploaded, by the path that the client got for it.
        kafka: the broker in memory, for faults such as `go_down`.
    """

    def __init__(self) -> None:
        self._settings = settings.KafkaSettings()
        self.kafka = memory_broker.MemoryBroker(self._settings)
        self.received: list[requests.Work] = []
        self.uploaded: dict[str, bytes] = {}
        self._topic_client = memory_topic_io.MemoryTopicClient(self.kafka)
        self._outcomes: deque[_Outcome] = deque()
        self._accepted: dict[tuple[str, str], _Accepted] = {}
        self._clock = clock.SystemClock()
        self._stack = contextlib.AsyncExitStack()
        self._error: BaseException | None = None

    async def __aenter__(self) -> Self:
        self.kafka.create_topics(1)
        async with contextlib.AsyncExitStack() as stack:
            tail = await stack.enter_async_context(
                topic_io.tail(self._topic_client, self._settings.topics.requests, topic_io.NOW)
            )
            task_supervisor = await stack.enter_async_context(tasks.TaskSupervisor(self._failed))
            task_supervisor.start(self._serve(tail), name="relay for tests")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        if self._error is not None:
            raise self._error

    def client(self, source: str = "/tests") -> relay.RelayClient:
        """Return a client of this relay, to be entered with `async with`."""
        return relay.RelayClient(self._settings, source=source, broker=self._topic_client, uploads=self)

    async def upload(self, path: str | pathlib.Path, progress: files.Progress | None = None) -> str:
        """Keep a file of a client in memory."""
        local = pathlib.Path(path)
        try:
            content = await asyncio.to_thread(local.read_bytes)
        except OSError as error:
            raise errors.BadFile(f"{local} cannot be read: {error.strerror}") from error
        place = f"obs://tests/{hashlib.sha256(content).hexdigest()}/{local.name}"
        self.uploaded[place] = content
        if progress is not None:
            progress(len(content), len(content))
        return place

    def will_succeed(self, *rows: Any) -> None:  # noqa: ANN401 - JSON
        """Let the next request succeed, with these rows as the result of one statement."""
        result = events.Result(statements=[events.StatementResult(rows=list(rows), row_count=len(rows))])
        self._outcomes.append(_Outcome(("submitted", "running", "succeeded"), result if rows else None))

    def will_fail(self, code: str = "job_result", message: str = "MRS reports FAILED") -> None:
        """Let the next request run and fail with this reason, of class `job_failed`."""
        reason = reasons.Reason(kind="job_failed", code=code, message=message)
        self._outcomes.append(_Outcome(("submitted", "running", "failed"), reason=reason))

    def will_reject(self, code: str = "not_allowed", message: str = "not allowed here") -> None:
        """Reject the next request with this reason, of class `invalid`, as its only event."""
        reason = reasons.Reason(kind="invalid", code=code, message=message)
        self._outcomes.append(_Outcome(("rejected",), reason=reason))

    def will_be_unknown(self, message: str = "the reply was lost") -> None:
        """Let the next request end in `unknown`."""
        reason = reasons.Reason(kind="unresolved", code="reply_lost", message=message)
        self._outcomes.append(_Outcome(("unknown",), reason=reason))

    def will_run(self) -> None:
        """Let the next request run until it is cancelled."""
        self._outcomes.append(_Outcome(("submitted", "running")))

    async def _serve(self, tail: topic_io.Tail) -> None:
        while True:
            try:
                found = await tail.take(_READ_S)
            except errors.StreamDown:
                continue
            for record in found:
                self._answer(record)

    def _answer(self, record: records.Record) -> None:
        message = envelope.read(record.topic, record.value, record.headers)
        name = (message.source, message.id)
        try:
            request = requests.parse(message)
        except errors.BadMessage as error:
            reason = reasons.Reason(kind="invalid", code=error.code, message=error.message, field=error.field)
            self._publish(_Accepted("", self._next(name, None, "rejected", reason=reason), message, record.key or b""))
            return
        if isinstance(request, requests.JobCancel):
            self._stop(request, message)
        elif not isinstance(request, requests.JobResolve):
            self._work(request, message, record.key or b"")

    def _work(self, request: requests.Work, message: envelope.Envelope, key: bytes) -> None:
        name = (message.source, message.id)
        digest = digests.of(message, request)
        if (old := self._accepted.get(name)) is not None and old.digest:
            self._repeat(old, digest)
            return

        self.received.append(request)
        outcome = self._outcomes.popleft() if self._outcomes else _Outcome(("submitted", "running", "succeeded"))
        begin: tuple[events.State, ...] = () if outcome.states == ("rejected",) else ("accepted",)

        possible = events.SUBJECTS[_subject_of(message)]  # a call, for example, has no events submitted and running
        for state in (one for one in (*begin, *outcome.states) if one in possible):
            last = state in events.LAST
            data = self._next(name, self._accepted.get(name), state, reason=outcome.reason if last else None)
            if last and outcome.result is not None:
                data = data.model_copy(update={"result": outcome.result})
            self._publish(_Accepted(digest, data, message, key))

    def _repeat(self, old: _Accepted, digest: str) -> None:
        """Answer a repeated request id as the relay does."""
        name = (old.record.source, old.record.id)
        if digest == old.digest:
            again = self._next(name, old, old.data.state, reason=old.data.reason)
            self._publish(_Accepted(digest, again.model_copy(update={"repeated": True}), old.record, old.key))
            return

        # Another payload under a used id: refuse it, and keep the state of the first request.
        reason = reasons.Reason(kind="conflict", code="id_reused", message="this id has another payload")
        refused = self._next(name, old, "rejected", reason=reason)
        self._publish(_Accepted(old.digest, refused, old.record, old.key))
        kept = old.data.model_copy(update={"sequence": refused.sequence})
        self._accepted[name] = _Accepted(old.digest, kept, old.record, old.key)

    def _stop(self, cancel: requests.JobCancel, message: envelope.Envelope) -> None:
        name = (cancel.request.source or message.source, cancel.request.id)
        old = self._accepted.get(name)
        if old is None or old.data.state in events.LAST:
            return
        reason = reasons.Reason(kind="cancelled", code="requested", message=cancel.note or "a message asked for it")
        self._publish(_Accepted(old.digest, self._next(name, old, "cancelled", reason=reason), old.record, old.key))

    def _next(
        self, name: tuple[str, str], old: _Accepted | None, state: events.State, *, reason: reasons.Reason | None
    ) -> events.EventData:
        return events.EventData(
            request=events.RequestRef(id=name[1], source=name[0]),
            state=state,
            sequence=old.data.sequence + 1 if old else 1,
            attempt=0 if state in {"accepted", "rejected"} else 1,
            reason=reason,
        )

    def _publish(self, accepted: _Accepted) -> None:
        name = (accepted.record.source, accepted.record.id)
        self._accepted[name] = accepted
        event = events.Event(
            subject=_subject_of(accepted.record),
            key=accepted.key,
            time_ms=self._clock.now_ms(),
            data=events.body(accepted.data),
            event_id=f"{events.identity(*name)}-{accepted.data.sequence}",
            correlation_id=accepted.record.id,
        )
        key, value, headers = events.write(event, _SOURCE)
        self.kafka.put(self._settings.topics.events, 0, key, value, headers)

    def _failed(self, _name: str, error: BaseException) -> None:
        self._error = error


def _subject_of(message: envelope.Envelope) -> events.Subject:
    return _SUBJECTS.get(message.type.removeprefix("mrs.").partition(".")[0], "job")
