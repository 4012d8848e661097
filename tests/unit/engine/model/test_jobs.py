"""A job in the ledger, and its name on MRS."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine import samples

from mrs_relay import errors
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, job_names, job_records, jobs
from mrs_relay.kafka import ledger_format
from mrs_relay.messages import codec, envelope

_TEXT = st.text(max_size=20)
_COUNT = st.integers(0, 2**62)
_WORDS = st.dictionaries(_TEXT, _TEXT, max_size=3)

_works = st.builds(jobs.Batch, _TEXT, st.lists(_TEXT, max_size=3).map(tuple), _WORDS) | st.builds(
    jobs.Presto, _TEXT, _TEXT, st.none() | _TEXT, st.booleans()
)
_seen = st.builds(
    jobs.MrsStatus, _TEXT, _TEXT, _TEXT, st.floats(0, 100), _TEXT, _TEXT, _COUNT, _COUNT, st.integers(-(2**40), 2**62)
)
_reasons = st.builds(
    jobs.Reason,
    st.sampled_from(["invalid", "refused", "unresolved"]),
    _TEXT,
    _TEXT,
    field=st.none() | _TEXT,
    mrs_request_id=st.none() | _TEXT,
    retryable=st.booleans(),
)
_LISTS = st.lists(_TEXT, max_size=2).map(tuple)
_senders = st.builds(envelope.Sender, _TEXT, st.none() | _TEXT)
_WORKS_BY_NAME = jobs.Call(
    "CreateCluster", body={"wide": 2**70, "many": [1.5, None]}, target=jobs.TargetState("created")
)
_jobs = st.builds(
    jobs.Job,
    source=_TEXT,
    id=_TEXT,
    subject=st.sampled_from(["job", "sql"]),
    digest=_TEXT,
    state=st.sampled_from(jobs.State),
    sequence=_COUNT,
    shown=st.none() | st.sampled_from(["accepted", "running", "unknown"]),
    key=st.none() | st.binary(max_size=20),
    arrived_ms=_COUNT,
    order=_COUNT,
    cluster=_TEXT,
    choice=st.none() | st.builds(jobs.Choice, name=_TEXT, tags=_WORDS),
    work=st.none() | _works,
    statement=st.booleans(),
    name=_TEXT,
    priority=st.integers(0, 9),
    not_before_ms=st.integers(-(2**50), 2**50),
    labels=st.none() | _WORDS,
    attempt=st.integers(0, 99),
    intent_ms=_COUNT,
    seen=st.none() | _seen,
    collect=st.booleans(),
    skip=st.integers(0, 1),
    reason=st.none() | _reasons,
    location=st.none() | _TEXT,
    correlation_id=st.none() | _TEXT,
    traceparent=st.none() | _TEXT,
    tracestate=st.none() | _TEXT,
    sender=st.none() | _senders,
    expires_ms=_COUNT,
    retry=st.none()
    | st.builds(jobs.Retry, st.integers(2, 20), st.floats(0, 86_400), st.lists(_TEXT, max_size=3).map(tuple)),
    queue_deadline_s=st.floats(0, 1e8),
    queue_deadline_ms=_COUNT,
    run_deadline_s=st.floats(0, 1e8),
    run_deadline_ms=_COUNT,
    stop=st.none() | _reasons,
    asked_by=st.none() | _TEXT,
    asked_source=st.none() | _TEXT,
    asked_sender=st.none() | _senders,
    kind=st.sampled_from(["", "echo"]),
    delivery=st.none() | st.builds(jobs.Delivery, _TEXT, st.booleans(), _COUNT, st.sampled_from(["rows", "csv"])),
    late_until_ms=_COUNT,
    rows_until_ms=_COUNT,
    rows_removed=st.booleans(),
    came_from=st.integers(-1, 10**9),
    duplicates=st.lists(_TEXT, max_size=2).map(tuple),
    api=st.sampled_from(["v2", "v1.1"]),
    tenant=_TEXT,
    doubt=st.none() | st.builds(jobs.Doubt, st.integers(0, 20), st.booleans(), _TEXT),
    missing=st.none() | st.builds(jobs.Span, _COUNT, _COUNT),
    unsettled=st.none() | st.builds(jobs.Span, _COUNT, _COUNT),
    later=st.sampled_from([b"", b'"next":{"a":[1,null]},"nextest":1.50']),
    after=st.sampled_from([b"", msgspec.msgpack.encode([len(jobs.Job.__struct_fields__), {"a": 1}, 1.5])]),
    ending=st.none() | st.builds(jobs.Ending, _COUNT, st.sampled_from(["failed"]), _reasons, _LISTS, _COUNT),
    cause=st.none() | st.builds(jobs.Cause, _TEXT, _TEXT, _TEXT, _TEXT),
    arrow=st.booleans(),
    second_looks=st.lists(st.builds(jobs.SecondLook, _COUNT, _COUNT), max_size=2).map(tuple),
)


@given(_jobs, st.sampled_from([_WORKS_BY_NAME, None]))
def test_any_job_survives_the_ledger_in_each_format_and_on_the_way_between_them(
    job: jobs.Job, work: jobs.Work | None
) -> None:
    """What is written is read back equal, field by field; so it is after an upgrade and after the way back."""
    job = msgspec.structs.replace(job, work=work or job.work)
    by_name = job_records.decode(job_records.encode(job, ledger_format.NAMED))
    by_place = job_records.decode(job_records.encode(by_name, ledger_format.PLACED))
    assert by_name == by_place == job
    assert job_records.decode(job_records.encode(by_place, ledger_format.NAMED)) == job


def test_words_in_common_are_kept_once() -> None:
    """Jobs read from the ledger share equal words; what tells them apart is their own."""
    job = samples.request(tenant="nightly", seen=jobs.MrsStatus("j-1", "RUNNING", "UNDEFINED"))
    one, two = (job_records.decode(job_records.encode(job)) for _ in range(2))
    assert one == two == job_records.share(one)
    for name in ("source", "key", "cluster", "name", "tenant"):
        assert getattr(one, name) is getattr(two, name)
    assert one.seen is not None
    assert two.seen is not None
    assert one.seen.job_state is two.seen.job_state
    assert one.seen.job_id is not two.seen.job_id


def test_a_request_without_deadlines_leaves_none_in_its_record() -> None:
    """What a request does not ask for costs no bytes in the ledger and no memory after a restore."""
    meaning = reader.read(samples.record(), frozenset(), 100_000)
    assert isinstance(meaning, tuple)
    fact = meaning[1]
    assert isinstance(fact, facts.Requested)
    assert b"deadline" not in job_records.encode(fact.job)


def test_every_field_is_part_of_the_round_trip() -> None:
    """The strategy above fills every field there is."""
    assert set(jobs.Job.__struct_fields__) == set(_jobs.wrapped_strategy.kwargs)  # type: ignore[attr-defined]  # hypothesis's lazy strategy


def test_ledger_record_is_pinned() -> None:
    """Ledgers of all versions must load: this is how this one writes format 1; defaults are left out."""
    job = samples.request(labels={"team": "x"}, seen=jobs.MrsStatus("j-1", "RUNNING"), state=jobs.State.RUNNING)
    assert job_records.encode(job, ledger_format.NAMED) == (
        b'{"source":"/billing","id":"order-1","subject":"job","digest":"d","state":"running","key":"aw==","order":9,'
        b'"cluster":"6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01","work":{"type":"batch","job_type":"SparkSubmit",'
        b'"arguments":["--class","A"],"properties":{"k":"v"}},"name":"nightly","labels":{"team":"x"},'
        b'"seen":{"job_id":"j-1","job_state":"RUNNING"},"correlation_id":"run-7"}'
    )


def test_ledger_record_of_a_wish_is_pinned() -> None:
    """The same for what a cancel, a retry and deadlines leave in it."""
    job = samples.request(
        retry=jobs.Retry(3, 30.0, ("job_failed",)),
        queue_deadline_s=1.0,
        queue_deadline_ms=2,
        run_deadline_s=3.0,
        run_deadline_ms=4,
        stop=samples.STOP,
        asked_by="c-1",
        state=jobs.State.CANCELLING,
        subject="job",
        work=None,  # type: ignore[arg-type]  # MRS has it
        key=None,
    )

    stop = b'{"kind":"cancelled","code":"requested","message":"no longer needed"}'
    assert job_records.encode(job, ledger_format.NAMED) == (
        b'{"source":"/billing","id":"order-1","subject":"job","digest":"d","state":"cancelling","order":9,'
        b'"cluster":"6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01","name":"nightly","correlation_id":"run-7",'
        b'"retry":{"attempts":3,"backoff_s":30.0,"on":["job_failed"]},"queue_deadline_s":1.0,"queue_deadline_ms":2,'
        b'"run_deadline_s":3.0,"run_deadline_ms":4,"stop":' + stop + b',"asked_by":"c-1"}'
    )

    assert job_records.encode(samples.pending_cancel(came_from=2), ledger_format.NAMED) == (
        b'{"source":"/billing","id":"order-1","subject":"job","digest":"","state":"awaited","key":"aw==","order":5,'
        b'"correlation_id":"run-7","expires_ms":1795420800000,"stop":'
        + stop
        + b',"asked_by":"c-1","asked_source":"/ops","came_from":2}'
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b'{"source":"\xff"}',
        b"{}",
        b"[]",
        b"null",
        b"\x90",
        b"\x03",
        b"\x03" + 17 * b"\0",
        b"\x03" + 16 * b"\0" + b"\xff",
        b"\xdc\x00\x02\xa1s",
        b"\x95\xa1s\xa1i\xa3job\xa1d\xa8dreaming",
        b"\x95\xa1s\xa1i\xa3job\xa1d\xc3",
        b"\x95\xa1s\xa1i\xa3job\xa1d\xa6queued\0",
        b'{"source":"s","id":"i","subject":"job","digest":"d","state":"dreaming"}',
        b'{"source":"s","id":"i","subject":"job","digest":"d","state":"queued","order":"9"}',
        b'{"source":"s","id":"i","subject":"job","digest":"d","state":"queued","work":{"type":"dance"}}',
    ],
)
def test_unreadable_ledger_record_calls_a_human(value: bytes) -> None:
    """A record that is no job of this format is StateUnreadable, whatever is wrong with it."""
    with pytest.raises(errors.StateUnreadable):
        job_records.decode(value)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_job_or_unreadable(value: bytes) -> None:
    """Nothing but StateUnreadable is raised for any bytes."""
    with pytest.raises(errors.StateUnreadable):
        job_records.decode(value)


@given(_TEXT, st.integers(1, 99), st.integers(1, 99))
def test_token_names_request_and_attempt(request_id: str, one: int, two: int) -> None:
    """The same request and attempt have the same token, another attempt another one; it is legal in a name."""
    key = jobs.ledger_key("/billing", request_id)
    assert re.fullmatch(r"mr[0-9a-f]{14}", job_names.submission_token(key, one))
    assert len(job_names.submission_token(key, one)) == job_names.TOKEN_LENGTH
    assert (job_names.submission_token(key, one) == job_names.submission_token(key, two)) is (one == two)


def test_token_is_pinned() -> None:
    """Marks stand on MRS: a new version must look for what the old one wrote."""
    assert job_names.submission_token(jobs.ledger_key("/billing", "order-1"), 1) == "mr1f224a995004c3"
    assert job_names.submission_token(jobs.ledger_key("/billing", "order-1"), 2) == "mr6ff6962c1e6526"


def test_tokens_of_many_requests_differ() -> None:
    """56 bits are enough to tell the jobs of one cluster apart."""
    marks = {
        job_names.submission_token(jobs.ledger_key("/s", str(number)), attempt)
        for number in range(5000)
        for attempt in (1, 2)
    }
    assert len(marks) == 10_000


@pytest.mark.parametrize("name", ["a", "nightly", "x" * 46, "x" * 47, "x" * 48, "x" * 64])
def test_name_on_mrs_is_legal_and_carries_the_token(name: str) -> None:
    """
    The token is never cut, the wished name is, so that the whole fits into 64 legal characters.

    Source: CreateExecuteJob, job_name.
    """
    job = samples.request(name=name, attempt=1)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", job.mrs_name)
    wished, _, mark = job.mrs_name.rpartition("-")
    assert mark == job_names.submission_token(job.ledger_key, 1)
    assert wished == name[:47]


def test_name_changes_with_the_attempt_only() -> None:
    """Whatever else changes in a job's life, its name on MRS stays."""
    job = samples.request(attempt=1)
    assert samples.request(attempt=1, state=jobs.State.IN_DOUBT, sequence=7, priority=1).mrs_name == job.mrs_name
    assert samples.request(attempt=2).mrs_name != job.mrs_name
    assert samples.request(attempt=0).mrs_name == ""
    assert samples.request(samples.READ, attempt=1).mrs_name == ""


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_ledger_keys_tell_requests_apart(source: str, one: str, other: str, two: str) -> None:
    """Two requests never share a key (sources hold no space), and no key looks like one of the ledger's own."""
    source, other = source.replace(" ", "_").lstrip("\0") or "s", other.replace(" ", "_").lstrip("\0") or "s"
    keys = jobs.ledger_key(source, one), jobs.ledger_key(other, two)
    assert (keys[0] == keys[1]) is ((source, one) == (other, two))
    assert not keys[0].startswith(b"\0")


def test_numbers_of_a_body_survive_the_ledger() -> None:
    """A body's numbers are sent as they came, also after a restart: none grows, none loses a digit."""
    body = codec.decode(b'{"a": [1e15, 3600.0, 0.1, 9007199254740993, 3.14159265358979323846, 1e22]}')
    job = jobs.Job("/s", "i", "call", "d", jobs.State.QUEUED, work=jobs.Call("CreateCluster", body=body))
    written = job_records.encode(job)
    assert b"[1000000000000000,3600,0.1,9007199254740993,3.14159265358979323846,1e22]" in written
    assert job_records.encode(job_records.decode(written)) == written
    assert job_records.decode(written) == job


def test_a_wait_ends_with_what_was_waited_for() -> None:
    """A job that moves on is not missing any more, nor is its next attempt; one that is to be stopped still is."""
    job = samples.JOBS["submitted"]
    assert job is not None
    span = jobs.Span(1, 2)
    lost = msgspec.structs.replace(job, missing=span, unsettled=span)
    for state in (jobs.State.RUNNING, jobs.State.QUEUED, jobs.State.UNKNOWN):
        moved = jobs.moved(lost, state)
        assert (moved.missing, moved.unsettled) == (None, None)
    assert jobs.moved(lost, jobs.State.CANCELLING).missing == span
    assert job_records.decode(job_records.encode(lost)) == lost


def _written_later(job: jobs.Job, **fields: object) -> bytes:
    """Write a job as a version does that knows more fields."""
    return msgspec.json.encode({**msgspec.json.decode(job_records.encode(job, ledger_format.NAMED)), **fields})


@pytest.mark.parametrize("state", jobs.State)
def test_fields_of_a_later_version_survive_this_one(state: jobs.State) -> None:
    """Read, changed and written, in every state: what this version does not know stands there as before."""
    job = msgspec.structs.replace(samples.request(), state=state, sequence=3)
    later = {"next": {"sql": "select 1", "list": [1, None, 2.5]}, "nextest": "x", "later": True}
    read = job_records.decode(_written_later(job, **later))
    assert msgspec.structs.replace(read, later=b"") == job
    changed = msgspec.structs.replace(read, sequence=4, work=None)
    for value in (job_records.encode(changed), job_records.encode_readable(changed)):
        assert job_records.decode(value) == changed
        fields = msgspec.json.decode(job_records.encode(job_records.decode(value), ledger_format.NAMED))
        assert {name: fields[name] for name in later} == later
    for following in sorted(jobs.TRAITS[state].next):
        assert jobs.moved(read, following).later == read.later


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"state": "paused"}, "paused"),
        ({"state": "paused", "next": 1}, "paused"),
        ({"work": {"type": "notebook", "cells": []}}, "notebook"),
        ({"seen": {"job_id": "j-1", "next": 1}}, "next"),
        ({"doubt": {"sent": 1, "next": 1}, "next": 1}, "next"),
        ({"api": "v3"}, "v3"),
        ({"sequence": "3"}, "sequence"),
    ],
)
def test_what_a_later_version_means_by_a_known_field_is_never_guessed(fields: dict[str, object], says: str) -> None:
    """A state, a kind of work, a field inside a value: refused with words that say what to do, never dropped."""
    with pytest.raises(errors.StateUnreadable, match="later version of the relay") as caught:
        job_records.decode(_written_later(samples.request(), **fields))
    assert says in str(caught.value)
