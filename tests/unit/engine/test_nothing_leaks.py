"""No secret, SQL text or argument comes out in an event, a latest state, a dead letter's reason, a span or a log."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import malformed, spans
from tests.unit.engine import fakes, mrs_fakes, samples, scheduling_fakes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine import decision_log, partition_jobs, unit_of_work
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.decide import transitions
from mrs_relay.engine.execution import submitter
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import records
from mrs_relay.messages import events

_TOPICS: Final = dataclasses.replace(fakes.TOPICS, latest="mrs.latest")
_STRUCTURED: Final = dataclasses.replace(_TOPICS, mode="structured")
_CLUSTER: Final = samples.CLUSTER

_no_names = st.text("ab 09=*()'\"/üж\\", min_size=3, max_size=30).map("hunter2 {}x".format)
_secrets = _no_names | st.text("abcXYZ0189", min_size=4, max_size=9).map("hunter2{}".format)
"""Words that look like names, and texts that do not; all begin alike, so that any trace of one is found."""


def _requests(secret: str) -> Iterator[tuple[str, Any]]:
    """Yield valid requests with the secret wherever arguments, SQL, properties or passwords stand."""
    quoted = secret.replace("'", "''")
    job = {"job_type": "SparkSubmit", "arguments": ["--key", secret], "properties": {secret: secret}}
    yield "mrs.job.submit", {"cluster": _CLUSTER, "job": job}
    for engine in ("presto", "spark", "hive"):
        statement = f"select a from t where b = '{quoted}'"
        yield "mrs.sql.submit", {"cluster": _CLUSTER, "engine": engine, "statement": statement}
    credentials = {"user": secret, "inner": [{"key": secret}]}
    body = {"name": "d-1", "url": "obs://b/x", "type": "obs", "credentials": credentials}
    yield "mrs.call", {"operation": "CreateDataSource", "body": body}
    configs = {"configs": {"key": secret}, "args": [secret], "params": {"key": secret}}
    run = {"cluster_id": _CLUSTER, "input_id": _CLUSTER, "output_id": _CLUSTER, "job_configs": configs}
    yield "mrs.call", {"operation": "ExecuteJob", "path": {"job_id": _CLUSTER}, "body": run}


def _spoilt(kind: str, data: dict[str, Any], secret: str) -> Iterator[Any]:
    """Yield the same in ways that are rejected, the secret being where it should not be, too."""
    for name in (*data, "extra"):
        for value in (secret, [secret], {secret: secret}, 7):
            yield {**data, name: value}

    yield {**data, secret: 1}
    yield secret
    yield [secret]

    inner = copy.deepcopy(data)
    for value in inner.values():
        if isinstance(value, dict):
            value |= {secret: secret, "arguments": secret}

    yield inner
    if kind == "mrs.call":
        yield {**data, "path": {secret: secret}, "query": {secret: secret}}
        for operation in ("ShowClusterDetails", "CreateExecuteJob", "CreateCluster", "ExecuteSql", "ListClusters"):
            body = {"sql": secret, "job_name": secret, "arguments": secret, "properties": {secret: [secret]}}
            yield {"operation": operation, "path": {"cluster_id": secret}, "body": {**body, "cluster_name": [secret]}}
            yield {"operation": operation, "path": {"cluster_id": _CLUSTER}, "body": body, "query": {"limit": secret}}


def _said(secret: str, kind: str, data: Any) -> Iterator[str]:
    """Yield what MRS might say of a request."""
    yield f"cannot use {secret} here"
    if kind == "mrs.sql.submit":
        yield f"line 1:1: mismatched input in {data['statement']}"
        yield f"bad == SQL == {data['statement']} ^^^"


class _Life:
    """A partition that publishes what it decides; everything that comes out is kept as bytes."""

    def __init__(self, topics: Any) -> None:
        self.jobs = partition_jobs.Jobs()
        self.out: list[bytes] = []
        self._spans = spans.Kept()
        traces = self._spans.tracing.tenant(topics.requests, topics.events, fakes.context().time)
        self._context = dataclasses.replace(fakes.context(), topics=topics, traces=traces)

    def take(self, *taken: records.Record) -> None:
        self._plan(inboxes.Batch(taken, ()), ())

    def happen(self, *happened: facts.Fact) -> None:
        self._plan(inboxes.Batch((), ()), happened)

    def _plan(self, batch: Any, happened: tuple[facts.Fact, ...]) -> None:
        unit = unit_of_work.UnitOfWork(self.jobs, self._context, fakes.lease(), lambda _key, _job: False)
        for key, fact in unit.read(batch):
            unit.decide(key, fact)
        for fact in happened:
            for key in list(self.jobs):
                unit.decide(key, fact)
        for sent in unit.outgoing():
            letter = sent.topic == _TOPICS.dead_letters
            shown = [raw for name, raw in sent.headers if not letter or name.startswith("mrs_relay_")]
            self.out += shown if letter else [*shown, sent.value or b"", json.dumps(_texts(sent)).encode()]
        list(unit.apply())
        self.out += [text.encode() for text in spans.texts(self._spans.spans)]
        self._spans.spans.clear()


def _texts(sent: records.Outgoing) -> Any:
    """Return the value unescaped, for a secret with quotes is not found in JSON as it stands."""
    return str(json.loads(sent.value)) if sent.value else None


def _ends(kind: str, said: str) -> list[list[facts.Fact]]:
    reason = jobs.Reason("refused", "0101", said)
    failed = facts.StatementObserved(jobs.MrsStatus("s-1", "FAILED"), message=said)
    ways: list[list[facts.Fact]] = [
        [facts.SubmissionRefused(reason)],
        [facts.SubmissionInDoubt(said)],
        [facts.SubmissionAccepted("j-1"), samples.FACTS["running"], samples.FACTS["failed"]],
        [facts.SubmissionAccepted("j-1"), facts.JobLost("gone")],
    ]
    return [*ways, [failed]] if kind == "mrs.sql.submit" else ways


def _check(life: _Life, logs: Any) -> None:
    assert [piece for piece in life.out if b"hunter2" in piece] == []
    assert "hunter2" not in str(logs)


@pytest.mark.parametrize("topics", [_TOPICS, _STRUCTURED], ids=["binary", "structured"])
@settings(max_examples=20)  # an example has dozens of lives
@given(_secrets)
def test_life_of_a_request_tells_nothing_of_what_it_asks_for(topics: Any, secret: str) -> None:
    """From accepted to every end, with MRS quoting the request in its errors, and answered again afterwards."""
    for kind, data in _requests(secret):
        for said in _said(secret, kind, data):
            for way in _ends(kind, said):
                life = _Life(topics)
                with structlog.testing.capture_logs() as logs:
                    record = samples.record(samples.message(data, kind))
                    life.take(record)
                    assert life.jobs, "the request is valid"
                    assert next(iter(life.jobs.values())).state is jobs.State.QUEUED
                    life.happen(facts.Admitted(), *way)
                    life.take(samples.record(samples.message(data, kind), offset=99))
                    life.take(samples.record(samples.message({"x": secret}, kind), offset=100))
                _check(life, logs)


@settings(max_examples=30)  # an example has some 200 lives
@given(_no_names)
def test_rejections_tell_nothing_of_what_was_sent(secret: str) -> None:
    """
    A request that is not valid gets its fault and the field, never its values, nor names that hold some.

    A name that looks like one is shown, so that a misspelt field is found, and so is a cluster that may be one.
    """
    for kind, data in _requests(secret):
        for number, spoilt in enumerate(_spoilt(kind, data, secret)):
            life = _Life(_TOPICS)
            with structlog.testing.capture_logs() as logs:
                life.take(samples.record(samples.message(spoilt, kind), offset=number))
            _check(life, logs)


@given(_secrets, st.integers(0, 400), st.sampled_from(malformed._SPOILERS), st.randoms(use_true_random=False))
def test_reasons_of_dead_letters_tell_nothing(secret: str, cut: int, spoil: Any, chance: Any) -> None:
    """What cannot be read is kept as it is; why, is reported without a piece of it."""
    for kind, data in _requests(secret):
        raw = json.dumps(samples.message(data, kind)).encode()
        life = _Life(_TOPICS)
        with structlog.testing.capture_logs() as logs:
            life.take(samples.record(raw[:cut]), samples.record(spoil(chance, raw), offset=18))
            life.take(samples.record([secret], offset=19), samples.record(secret.encode(), offset=20))
        _check(life, logs)


def test_check_finds_what_leaks() -> None:
    """The checks above can fail: a reason that quotes the secret is found."""
    life = _Life(_TOPICS)
    life.take(samples.record())
    life.happen(facts.Admitted(), facts.SubmissionRefused(jobs.Reason("refused", "1", "hunter2 is wrong")))
    with pytest.raises(AssertionError):
        _check(life, [])


def test_retry_tells_nothing_either() -> None:
    """The reason of an attempt that is followed by another one is as discreet as that of the last."""
    job = {"job_type": "SparkSubmit", "arguments": ["hunter2 x"]}
    data = {"cluster": _CLUSTER, "job": job, "retry": {"attempts": 2, "on": ["refused"]}}
    life = _Life(_TOPICS)
    life.take(samples.record(samples.message(data)))
    life.happen(facts.Admitted(), facts.SubmissionRefused(jobs.Reason("refused", "1", "no such thing as hunter2 x")))
    assert any(b"mrs.job.retrying" in piece for piece in life.out)
    assert any(piece.startswith(b"send mrs.events") for piece in life.out)
    _check(life, [])


def test_a_result_that_cannot_be_read_is_reported_without_the_sql() -> None:
    """Why there are no rows is MRS's text, too, and may quote the statement; it is no longer than a reason."""
    sql = {"cluster": _CLUSTER, "engine": "spark", "statement": "select a from t where b = 'hunter2 x'"}
    life = _Life(_TOPICS)
    life.take(samples.record(samples.message(sql, "mrs.sql.submit")))
    life.happen(facts.Admitted(), facts.SubmissionAccepted("j-1"), samples.FACTS["running"])
    said = f"no result of: == SQL == {sql['statement']}"
    job = next(iter(life.jobs.values()))
    collecting = msgspec.structs.replace(job, state=jobs.State.COLLECTING)
    life.jobs[job.ledger_key] = collecting
    life.happen(facts.ResultCollected(events.Result(unavailable=f"no 'hunter2 x' {'y' * 5_000} {said}")))
    assert any(b"mrs.sql.succeeded" in piece for piece in life.out)
    assert max(map(len, life.out)) < 3_000
    _check(life, [])


@pytest.mark.parametrize("error", [errors.MrsAmbiguous, errors.MrsUntouched])
def test_logs_of_a_submission_do_not_quote_it(error: type[errors.MrsError]) -> None:
    """MRS may answer an error with the statement in it; the one line about that, of step or decision, leaves it out."""
    statement = "select a from t where b = 'hunter2 x'"
    job = samples.request(work=jobs.Presto(statement))
    said = error(f"failed: {statement}")

    made = submitter.Submitter(
        mrs_fakes.Mrs({"": said}).client,
        scheduling_fakes.open_scheduler().pauses,
        engine_settings.EngineSettings(),
        clock.LoopClock(),
    )
    submitting = msgspec.structs.replace(job, state=jobs.State.SUBMITTING, attempt=1)
    with structlog.testing.capture_logs() as logs:
        fact = asyncio.run(made.submit(submitting, lambda: True))
        decision = transitions.decide(submitting, fact, samples.NOW_MS, samples.RULES)
        assert decision is not None
        decision_log.write([decision_log.Taken(submitting, fact, decision)], [], 0)
    assert len([line for line in logs if line["log_level"] != "debug"]) == 1
    assert "hunter2" not in str(logs)


def test_names_of_properties_are_the_senders_own() -> None:
    """In a call's body, as in a job, what stands in properties is not shown, names included."""
    body = {"job_type": "SparkSubmit", "job_name": "n", "properties": {"hunter2": ["x"]}}
    data = {"operation": "CreateExecuteJob", "path": {"cluster_id": _CLUSTER}, "body": body}
    life = _Life(_TOPICS)
    life.take(samples.record(samples.message(data, "mrs.call")))
    assert any(b"bad_value" in piece for piece in life.out)
    _check(life, [])
