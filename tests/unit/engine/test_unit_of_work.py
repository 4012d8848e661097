"""A batch's decisions on top of each other, and what they become when the commit has succeeded."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
import structlog
from tests.unit.engine import executor_bench, fakes, samples, unit_bench

from mrs_relay import errors
from mrs_relay.engine import context as contexts
from mrs_relay.engine import partition_jobs, unit_of_work, views
from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import commands, decisions, facts, job_records, jobs
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import records
from mrs_relay.messages import controls

_C = commands.Command


def test_jobs_are_loaded_and_the_restored_bytes_let_go() -> None:
    """After loading, every job is there once and the ledger's bytes are free."""
    committed = [samples.job("running", id=f"order-{number}") for number in range(5)]
    lease = fakes.lease(restored={job.ledger_key: job_records.encode(job) for job in committed})
    assert asyncio.run(partition_jobs.load(lease)) == {job.ledger_key: job for job in committed}
    assert lease.restored == {}


def test_unreadable_ledger_stops_the_load() -> None:
    """One record that is no job, and a person must decide."""
    with pytest.raises(errors.StateUnreadable):
        asyncio.run(partition_jobs.load(fakes.lease(restored={b"/a b": b"{"})))


def test_plan_without_facts_is_empty() -> None:
    """Nothing happened, nothing to commit; facts that change nothing change that not."""
    bench = unit_bench.Bench(samples.job("succeeded"))
    bench.happen("turn", "taken", "vanished")
    assert bench.unit.is_empty
    assert (bench.unit.changes(), bench.unit.outgoing(), list(bench.unit.apply())) == ([], [], [])
    assert bench.jobs == bench.before


def test_second_fact_builds_on_the_first() -> None:
    """Facts of one job in one batch are decided on top of each other and written once, with all events in order."""
    bench = unit_bench.Bench(samples.job("submitting"))
    bench.happen("taken", "running", "progressed")
    assert bench.states() == ["submitted", "running", "progress"]
    (written,) = bench.written().values()
    assert written is not None
    assert (written.state, written.sequence) == (jobs.State.RUNNING, 6)
    assert bench.jobs == bench.before
    assert list(bench.unit.apply()) == [(written.ledger_key, written, _C.TRACK)]


def test_turn_is_given_back_under_a_control_that_came_after_it() -> None:
    """No intent is decided any more: the job stays queued, and asks for its turn again."""
    bench = unit_bench.Bench(samples.job("queued"))
    hold = controls.Control(scope=controls.scope("all"), mode="hold", reason="why", at_ms=1)
    bench.context.controls.put(hold.scope, hold)
    bench.happen("turn")
    (written,) = bench.written().values()
    assert written == samples.job("queued")
    assert [command for _, _, command in bench.unit.apply()] == [_C.ENQUEUE]


def test_rejection_that_is_lifted_before_it_is_decided_is_no_turn() -> None:
    """It has no slot, place or token: only a control that still rejects the job moves it."""
    bench = unit_bench.Bench(samples.job("queued"))
    bench.happen(facts.RejectionDue())
    hold = controls.Control(scope=controls.scope("all"), mode="hold", reason="why", at_ms=1)
    bench.context.controls.put(hold.scope, hold)
    bench.happen(facts.RejectionDue())
    assert bench.unit.is_empty

    reject = controls.Control(scope=hold.scope, mode="reject", reason="why", at_ms=samples.NOW_MS)
    bench.context.controls.put(reject.scope, reject)
    bench.happen(facts.RejectionDue())
    assert bench.states() == ["cancelled"]


def test_last_command_of_a_job_counts() -> None:
    """A job that began and ended within one batch is released; no tracker begins to follow it."""
    bench = unit_bench.Bench(samples.job("submitting"))
    bench.happen("taken", "succeeded")
    assert [command for _, _, command in bench.unit.apply()] == [_C.RELEASE]


def test_nothing_changes_before_the_commit() -> None:
    """Until `settle` the partition's jobs are as they were committed, and nothing is counted."""
    bench = unit_bench.Bench(samples.job("queued"), samples.job("succeeded", id="order-2"))
    bench.happen("turn")
    bench.happen("expired", key=jobs.ledger_key("/billing", "order-2"))
    bench.unit.changes()
    bench.unit.outgoing()
    assert bench.jobs == bench.before
    assert bench.context.counts == views.Counts()
    assert [command for _, _, command in bench.unit.apply()] == [_C.SUBMIT]
    assert {job.state for job in bench.jobs.values()} == {jobs.State.SUBMITTING}


def test_what_is_decided_is_logged_once_and_only_when_it_is_committed() -> None:
    """A commit that fails has no line: the same facts are decided again."""
    bench = unit_bench.Bench(samples.job("submitting"))
    with structlog.testing.capture_logs() as before:
        bench.happen("taken", "running", "turn")
        bench.unit.changes()
        bench.unit.outgoing()
    with structlog.testing.capture_logs() as after:
        list(bench.unit.apply())
    assert before == []
    assert [line["event"] for line in after] == ["request_submitted", "request_started"]


def test_forgotten_job_becomes_a_tombstone() -> None:
    """A job that has expired is deleted from the ledger and from memory, and needs no command."""
    bench = unit_bench.Bench(samples.job("succeeded"))
    bench.happen("expired")
    assert bench.written() == {unit_bench.KEY: None}
    assert list(bench.unit.apply()) == []
    assert bench.jobs == {}


def test_forgotten_and_sent_again_within_one_batch() -> None:
    """What comes after the end of the memory is a new request."""
    bench = unit_bench.Bench(samples.job("succeeded"))
    bench.happen("expired", "request")
    assert bench.states() == ["accepted"]
    ((_, job, command),) = bench.unit.apply()
    assert (job.state, job.sequence, command) == (jobs.State.QUEUED, 1, _C.ENQUEUE)


def test_job_that_gets_its_turn_at_once_is_submitted_with_the_same_commit() -> None:
    """Where there is room, acceptance and intent are one ledger write; the gate is asked once for each job."""
    asked: list[jobs.Job] = []

    def admit(_key: jobs.LedgerKey, job: jobs.Job) -> bool:
        asked.append(job)
        return True

    bench = unit_bench.Bench(admit=admit)
    bench.read(samples.record())
    assert [job.state for job in asked] == [jobs.State.QUEUED]
    assert bench.states() == ["accepted"]
    ((_, job, command),) = bench.unit.apply()
    assert (job.state, job.attempt, job.intent_ms, command) == (jobs.State.SUBMITTING, 1, samples.NOW_MS, _C.SUBMIT)


def test_a_turn_is_given_back_if_the_submission_cannot_be_decided_with_the_acceptance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The request is accepted all the same, and the only slot of its cluster is free when it asks again."""
    decide = transitions.decide

    def failing(job: jobs.Job | None, fact: facts.Fact, *rest: Any) -> decisions.Decision | None:
        if fact == facts.Admitted():
            raise ArithmeticError
        return decide(job, fact, *rest)

    async def live(bench: executor_bench.Bench) -> None:
        unit = unit_of_work.UnitOfWork(partition_jobs.Jobs(), bench.context, bench.lease, bench.executor.admit)
        with monkeypatch.context() as broken:
            broken.setattr(transitions, "decide", failing)
            for key, fact in unit.read(inboxes.Batch([samples.record()], ())):
                unit.decide(key, fact)
        ((key, job, command),) = unit.apply()
        assert (job.state, command) == (jobs.State.QUEUED, _C.ENQUEUE)
        bench.executor.execute(key, job, command, bench.lease.act_epoch)
        await asyncio.sleep(1)
        assert await bench.reported() == [facts.Admitted()]

    executor_bench.run(live, slots=1)


def test_job_that_must_wait_is_queued() -> None:
    """Where there is none, the job is asked to be accepted and stands in line after the commit."""
    bench = unit_bench.Bench()
    bench.read(samples.record())
    assert bench.states() == ["accepted"]
    ((_, job, command),) = bench.unit.apply()
    assert (job.state, job.attempt, command) == (jobs.State.QUEUED, 0, _C.ENQUEUE)


def test_notices_go_before_records() -> None:
    """Facts from outside are decided first: a request sent again is answered with what just happened."""
    bench = unit_bench.Bench(samples.job("running"))
    bench.read(samples.record(offset=99), notices=[contexts.FactNotice(unit_bench.KEY, samples.FACTS["failed"])])
    assert bench.states()[0] == "failed"


def test_request_repeated_within_one_batch_is_answered() -> None:
    """Two equal messages in one batch: one job, and the second is answered as a repetition."""
    bench = unit_bench.Bench()
    bench.read(samples.record(offset=1), samples.record(offset=2))
    published = [json.loads(sent.value or b"") for sent in bench.unit.outgoing()]
    assert [(event["state"], event["sequence"], event.get("repeated", False)) for event in published] == [
        ("accepted", 1, False),
        ("accepted", 2, True),
    ]
    assert len(bench.unit.changes()) == 1


def test_broken_task_stops_the_partition() -> None:
    """A bug in one of the partition's tasks is raised in its loop, with its cause, before anything is decided."""
    bug = ValueError("a bug")
    bench = unit_bench.Bench()
    with pytest.raises(RuntimeError, match="submit nightly") as caught:
        bench.read(samples.record(), notices=[contexts.TaskCrashed("submit nightly", bug)])
    assert caught.value.__cause__ is bug
    assert bench.unit.is_empty


def test_bad_record_does_not_touch_its_neighbours() -> None:
    """One batch with a good, an invalid and an unreadable record: a job, a rejection and a dead letter."""
    bench = unit_bench.Bench()
    bench.read(
        samples.record(samples.message(id="good")),
        samples.record(samples.message({}, id="bad"), offset=18),
        samples.record(b"\xff", offset=19, key=None),
        samples.record(None, offset=20),
        samples.record(samples.message(id="good too"), offset=21),
    )

    assert bench.states() == ["accepted", "rejected", "accepted"]

    letters = [sent for sent in bench.unit.outgoing() if sent.topic == fakes.TOPICS.dead_letters]
    assert [(letter.key, letter.value) for letter in letters] == [(None, b"\xff"), (b"k", b"")]

    list(bench.unit.apply())
    assert bench.context.counts.dead_letters == {"unreadable_json": 1, "no_value": 1}
    assert bench.context.counts.events == {("job", "accepted"): 2, ("job", "rejected"): 1}
    assert bench.context.counts.commits == 1


@pytest.mark.parametrize(("ledger_bytes", "most_bytes"), [(1_000_000, 2048), (20_000, 20_000 - 16_384)])
def test_request_that_the_ledger_could_not_hold_is_rejected(ledger_bytes: int, most_bytes: int) -> None:
    """The smaller of the setting and what fits into a ledger record bounds a request."""
    bench = unit_bench.Bench(limits={None: ledger_bytes}, max_request_bytes=2048 if most_bytes == 2048 else 524_288)
    fits = most_bytes - len(json.dumps(samples.message(id="a", extra="")))
    bench.read(
        samples.record(samples.message(id="a", extra="x" * fits)),
        samples.record(samples.message(id="b", extra="x" * (fits + 1)), offset=18),
    )
    assert bench.states() == ["accepted", "rejected"]


def test_largest_request_fits_into_its_ledger_record() -> None:
    """What is accepted can be written: ids, headers and Kafka key at their longest fit into what was set aside."""
    limit_bytes = 60_000
    widest = "\U0001f642"  # four bytes a character

    message = samples.message(
        id=widest * 256,
        source=widest * 256,
        correlationid=widest * 512,
        traceparent=widest * 512,
        tracestate=widest * 512,
    )

    message["data"]["job"]["arguments"] = [""]
    spare = limit_bytes - 16_384 - len(json.dumps(message, ensure_ascii=False).encode())
    message["data"]["job"]["arguments"] = ["x" * spare]
    raw = json.dumps(message, ensure_ascii=False).encode()
    bench = unit_bench.Bench(limits={None: limit_bytes}, admit=lambda _key, _job: True)
    bench.read(samples.record(raw, key=b"\xff" * 1024))

    assert bench.states() == ["accepted"]

    (change,) = bench.unit.changes()
    assert records.size_bytes(change.key, change.value) <= limit_bytes


_TRACE = {"traceparent": "00-second", "tracestate": "s=2"}


@pytest.mark.parametrize("state", ["running", "succeeded"])
@pytest.mark.parametrize("kind", ["same", "other", "invalid"])
def test_answer_to_a_second_message_carries_its_trace(state: str, kind: str) -> None:
    """The answer to a message is in the trace of that message; the job keeps its own."""
    data = {"cluster": samples.CLUSTER, "job": {"job_type": "SparkSubmit"}}
    first = samples.message(data, traceparent="00-first")
    bench = unit_bench.Bench()
    bench.read(samples.record(first))
    list(bench.unit.apply())
    (job,) = bench.jobs.values()
    shown = samples.job(state, digest=job.digest, traceparent=job.traceparent if state == "running" else None)
    again = unit_bench.Bench(shown)
    second = samples.message({"same": data, "other": {**data, "priority": 9}, "invalid": {}}[kind], **_TRACE)
    again.read(samples.record(second, offset=99))
    (sent,) = again.unit.outgoing()

    assert {"traceparent": b"00-second", "tracestate": b"s=2"}.items() <= dict(sent.headers).items()

    (kept,) = again.written().values()
    assert kept is not None
    assert kept.traceparent == shown.traceparent


@pytest.mark.parametrize("kind", ["mrs.job.cancel", "mrs.job.resolve"])
@pytest.mark.parametrize("state", ["succeeded", "unknown"])
def test_answer_to_a_wish_carries_its_trace(kind: str, state: str) -> None:
    """The answer to a cancel or a resolution of an ended request is in the trace of that message."""
    data: dict[str, Any] = {"request": {"id": "order-1"}, "note": "why"}
    if kind == "mrs.job.resolve":
        data["verdict"] = "failed"
    bench = unit_bench.Bench(samples.job(state))
    bench.read(samples.record(samples.message(data, kind, id="w-1", **_TRACE), offset=99))
    (sent,) = bench.unit.outgoing()
    assert {"traceparent": b"00-second", "tracestate": b"s=2"}.items() <= dict(sent.headers).items()
    (kept,) = bench.written().values()
    assert kept is not None
    assert kept.traceparent is None


def _cancel(name: str, came_from: int = -1) -> facts.CancelRequested:
    asked = samples.FACTS["cancel"]
    assert isinstance(asked, facts.CancelRequested)
    return msgspec.structs.replace(asked, job=msgspec.structs.replace(asked.job, id=name), came_from=came_from)


def test_cancels_of_invented_requests_wait_shortly_once_many_do() -> None:
    """Up to the limit each waits for its request as long as it is set; further ones go within ten seconds."""
    bench = unit_bench.Bench(max_waiting_cancels=3)
    names = [f"x-{number}" for number in range(6)]
    for number, name in enumerate(names):
        bench.happen(_cancel(name, came_from=number % 2 - 1), key=jobs.ledger_key("/billing", name))
    waits_ms = [job.expires_ms - bench.context.time.now_ms() for job in bench.written().values() if job is not None]
    assert [wait_ms > 60_000 for wait_ms in waits_ms] == [True] * 3 + [False] * 3
    assert all(0 < wait_ms <= 10_000 for wait_ms in waits_ms[3:])


def test_waiting_cancels_are_counted_over_commits_and_restores() -> None:
    """The count follows the committed jobs: up with each that waits, down with each that is matched or given up."""
    bench = unit_bench.Bench()
    for name in ("a", "b", "c"):
        bench.happen(_cancel(name), key=jobs.ledger_key("/billing", name))
    assert bench.jobs.awaited == 0
    list(bench.unit.apply())
    assert bench.jobs.awaited == 3
    later = unit_of_work.UnitOfWork(bench.jobs, bench.context, fakes.lease(), unit_bench.none_admitted)
    later.decide(jobs.ledger_key("/billing", "a"), facts.CancelMatched())
    later.decide(jobs.ledger_key("/billing", "b"), facts.Requested(samples.request(id="b")))
    list(later.apply())
    assert bench.jobs.awaited == 1
    restored = {bytes(key): job_records.encode(job) for key, job in bench.jobs.items()}
    assert asyncio.run(partition_jobs.load(fakes.lease(restored=restored))).awaited == 1


def test_duplicates_are_stopped_beside_any_other_command() -> None:
    """A change without a command still has its duplicates stopped; one with a command keeps it."""
    quiet = unit_bench.Bench(samples.job("running"))
    quiet.happen("looked again, found two")
    assert [command for _, _, command in quiet.unit.apply()] == [commands.Command.STOP_DUPLICATES]
    ended = unit_bench.Bench(samples.job("running"))
    ended.happen("looked again, found two", "succeeded")
    assert [(job.duplicates, command) for _, job, command in ended.unit.apply()] == [
        (("j-3",), commands.Command.RELEASE)
    ]
