"""Whatever one message or job does to us ends that one, and leaves the plan and everybody else as they were."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, cast

import msgspec
import pytest
import structlog
from tests.unit.engine import fakes, mrs_fakes, samples, scheduling_fakes
from tests.unit.engine.intake.test_policy_check import policy

from mrs_relay import errors
from mrs_relay.engine import context as contexts
from mrs_relay.engine import partition_jobs, unit_of_work
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.decide import transitions
from mrs_relay.engine.intake import job_factory, policy_check, reader
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import commands, facts, job_records, jobs
from mrs_relay.engine.trackers import cluster_tracker
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import records
from mrs_relay.messages import dead_letters, envelope, reasons, requests
from mrs_relay.mrs import validation

_FAULTS = [
    RecursionError("hunter2"),
    ValueError("Exceeds the limit (4300 digits): hunter2"),
    OverflowError("hunter2"),
    UnicodeEncodeError("utf-8", "hunter2\ud800", 7, 8, "surrogates not allowed"),
    KeyError("hunter2"),
]


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def _order(depth: int) -> dict[str, Any]:
    """Make an order of a cluster, valid but for what stands `depth` levels below its components."""
    body = {
        "cluster_version": "MRS 3.1.0",
        "cluster_name": "x",
        "cluster_type": "ANALYSIS",
        "region": "cn-north-4",
        "vpc_name": "v",
        "subnet_id": "s",
        "components": "Hadoop",
        "availability_zone": "z",
        "safe_mode": "SIMPLE",
        "manager_admin_password": "Abcdef12!",
        "login_mode": "PASSWORD",
        "node_root_password": "Abcdef12!",
        "node_groups": [{"group_name": "master_node_default_group", "node_num": 2, "node_size": "x"}],
        "component_configs": [{"a": _nested(depth)}],
    }

    return samples.message({"body": body}, "mrs.cluster.create")


def _read(record: records.Record, rule: policies.Policy = policy_check.UNRESTRICTED) -> tuple[Any, list[Exception]]:
    alarms: list[Exception] = []
    meaning = reader.read(record, samples.RESULT_TYPES, 100_000, rule, lambda error, _record: alarms.append(error))
    return meaning[1] if isinstance(meaning, tuple) else meaning, alarms


def _raise(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


# reading ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [100, 300, 900])
def test_order_that_is_nested_deeply_is_rejected(depth: int) -> None:
    """It is turned away for its depth, before anything goes down with it."""
    fact, alarms = _read(samples.record(_order(depth)))
    assert isinstance(fact, facts.InvalidRequest)
    assert (fact.reason.code, fact.reason.field) == ("too_deep", "data")
    assert str(reader.MAX_DEPTH) in fact.reason.message
    assert alarms == []


@pytest.mark.parametrize("form", ["plain", "binary", "base64", "list"])
@pytest.mark.parametrize(("depth", "taken"), [(64, True), (65, False)])
def test_depth_is_bounded_in_every_form_of_a_message(form: str, depth: int, *, taken: bool) -> None:
    """`data` may have 64 levels, whatever carries it."""
    inner: Any = 1
    for _ in range(depth - 2):  # `data` and `body` are the first two levels
        inner = [inner] if form == "list" else {"a": inner}
    data = {"operation": "CreateDataSource", "body": {"x": inner}}
    headers: tuple[tuple[str, bytes], ...] = ()
    value: Any = samples.message(data, "mrs.call")

    if form == "binary":
        headers = (("ce_specversion", b"1.0"), ("ce_id", b"i"), ("ce_type", b"mrs.call"))
        value = data
    elif form == "base64":
        del value["data"]
        value["data_base64"] = base64.b64encode(json.dumps(data).encode()).decode()

    fact, _ = _read(samples.record(value, headers=headers))
    assert isinstance(fact, facts.InvalidRequest)
    assert (fact.reason.code == "too_deep") is not taken


def test_shallow_message_with_many_brackets_is_taken() -> None:
    """What is counted is levels, not brackets: SQL has many."""
    fact, _ = _read(samples.record(samples.sql("select array[" + "[1]," * 500 + "[1]]")))
    assert isinstance(fact, facts.Requested)


@pytest.mark.parametrize("error", _FAULTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("module", "name"), [(requests, "parse"), (job_factory, "create_job"), (reader, "_check_depth")]
)
def test_message_that_makes_us_fail_is_rejected_with_the_error_s_class(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, error: Exception
) -> None:
    """Its sender gets an answer; what the error quotes stays out."""
    monkeypatch.setattr(module, name, _raise(error))
    fact, alarms = _read(samples.record())
    assert isinstance(fact, facts.InvalidRequest)
    assert fact.reason.code == "internal_error"
    assert fact.reason.code in reasons.CODES
    assert type(error).__name__ in fact.reason.message
    assert "hunter2" not in fact.reason.message
    assert alarms == [error]


@pytest.mark.parametrize("error", _FAULTS, ids=lambda error: type(error).__name__)
def test_message_without_an_id_that_makes_us_fail_is_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It is kept as it came, with the error's class."""
    monkeypatch.setattr(envelope, "read", _raise(error))
    letter, alarms = _read(samples.record())
    assert isinstance(letter, dead_letters.DeadLetter)
    assert (letter.code, letter.value) == ("internal_error", samples.record().value)
    assert type(error).__name__ in letter.message
    assert "hunter2" not in letter.message
    assert alarms == [error]


# rules first --------------------------------------------------------------------------------------------------------

_SQL_ONLY = policy(allow={"types": ["mrs.sql.submit"]})


@pytest.mark.parametrize("depth", [1, 300])
def test_message_of_a_type_that_is_not_allowed_is_judged_before_it_is_looked_into(depth: int) -> None:
    """A tenant that may only send SQL gets that answer, whatever is wrong with what it sends."""
    fact, alarms = _read(samples.record(_order(depth)), _SQL_ONLY)
    reason = fact.rejection if isinstance(fact, facts.Requested) else fact.reason
    assert reason is not None
    assert (reason.kind, reason.code) == ("not_allowed", "type_not_allowed")
    assert alarms == []


def test_request_that_breaks_a_rule_is_never_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a bug in building it nor what MRS would not take hides the rule."""
    monkeypatch.setattr(job_factory, "create_job", _raise(RecursionError()))
    fact, alarms = _read(samples.record(), policy(allow={"job_types": ["SparkSql"]}))
    assert isinstance(fact, facts.Requested)
    assert fact.rejection is not None
    assert fact.rejection.code == "job_type_not_allowed"
    assert (fact.job.work, alarms) == (None, [])


def test_repeat_of_an_accepted_request_is_still_known_under_changed_rules() -> None:
    """It is compared by its payload, although it is not built."""
    before, _ = _read(samples.record())
    again, _ = _read(samples.record(offset=99), policy(allow={"job_types": ["SparkSql"]}))
    assert isinstance(before, facts.Requested)
    running = msgspec.structs.replace(before.job, state=jobs.State.RUNNING, seen=jobs.MrsStatus("j-1"), sequence=3)
    decision = transitions.decide(running, again, samples.NOW_MS, samples.RULES)
    assert decision is not None
    assert [(event.data.state, event.data.repeated) for event in decision.events] == [("running", True)]


# deciding -----------------------------------------------------------------------------------------------------------


class _Bench:
    def __init__(self, *committed: jobs.Job, limits: dict[str | None, int] | None = None, **settings: Any) -> None:
        self.jobs = partition_jobs.Jobs({job.ledger_key: job for job in committed})
        self.context = fakes.context(**settings)
        self.unit = unit_of_work.UnitOfWork(self.jobs, self.context, fakes.lease(limits), lambda _key, _job: False)

    def take(self, *taken: records.Record, happened: tuple[tuple[jobs.Job, facts.Fact], ...] = ()) -> None:
        notices = [contexts.FactNotice(job.ledger_key, fact) for job, fact in happened]
        for key, fact in self.unit.read(inboxes.Batch(taken, notices)):
            self.unit.decide(key, fact)

    def events(self) -> list[tuple[str, str, str | None]]:
        published = [
            json.loads(sent.value or b"") for sent in self.unit.outgoing() if sent.topic == fakes.TOPICS.events
        ]
        return [(event["request"]["id"], event["state"], event.get("reason", {}).get("code")) for event in published]

    def letters(self) -> list[records.Outgoing]:
        return [sent for sent in self.unit.outgoing() if sent.topic == fakes.TOPICS.dead_letters]


def _fail_for(monkeypatch: pytest.MonkeyPatch, name: str, *facts_: type[Any]) -> None:
    """Have every decision of these facts about one request fail."""
    sound = transitions.decide

    def decided(job: jobs.Job | None, fact: facts.Fact, *rest: Any) -> Any:
        whose = job or getattr(fact, "job", None)
        if whose is not None and whose.id == name and isinstance(fact, facts_):
            raise RecursionError("hunter2")
        return sound(job, fact, *rest)

    monkeypatch.setattr(transitions, "decide", decided)


def _job(name: str, **changes: Any) -> jobs.Job:
    job = samples.JOBS[name]
    assert job is not None
    return msgspec.structs.replace(job, **changes)


def test_record_that_cannot_be_decided_is_rejected_and_its_neighbours_continue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is counted, and logged with its stack and without its text."""
    _fail_for(monkeypatch, "bad", facts.Requested)
    bench = _Bench()
    with structlog.testing.capture_logs() as logs:
        bench.take(*(samples.record(samples.message(id=name), offset=n) for n, name in enumerate(("a", "bad", "b"))))
    assert bench.events() == [("a", "accepted", None), ("bad", "rejected", "internal_error"), ("b", "accepted", None)]
    assert bench.context.counts.internal_errors == {("decide", "RecursionError"): 1}
    (line,) = [line for line in logs if line["event"] == "internal_error"]
    assert (line["step"], line["error"], line["offset"]) == ("decide", "RecursionError", 1)
    assert "decided" in line["stack"]
    assert "hunter2" not in str(line)


def test_record_that_not_even_a_rejection_can_answer_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message is lost, and none stops the partition."""
    _fail_for(monkeypatch, "bad", facts.Requested, facts.InvalidRequest)
    bench = _Bench()
    bench.take(samples.record(samples.message(id="bad")), samples.record(samples.message(id="b"), offset=18))
    assert bench.events() == [("b", "accepted", None)]
    (letter,) = bench.letters()
    assert letter.value == samples.record(samples.message(id="bad")).value
    assert dict(letter.headers)["mrs_relay_reason"] == b"internal_error"


def test_fact_that_cannot_be_decided_ends_its_job_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose look on MRS makes us fail is `unknown`; others are followed on."""
    _fail_for(monkeypatch, "bad", facts.JobObserved)
    bad, good = _job("running", id="bad"), _job("running", id="good")
    bench = _Bench(bad, good)
    bench.take(happened=((bad, samples.FACTS["succeeded"]), (good, samples.FACTS["succeeded"])))
    assert bench.events() == [("bad", "unknown", "internal_error"), ("good", "succeeded", None)]
    assert [command for _, _, command in bench.unit.apply()] == [commands.Command.RELEASE] * 2


def test_job_of_which_nothing_can_be_decided_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception leaves the plan as it was before its fact."""
    _fail_for(monkeypatch, "bad", facts.JobObserved, facts.InternalFailure)
    bad = _job("running", id="bad")
    bench = _Bench(bad)
    bench.take(happened=((bad, samples.FACTS["succeeded"]),))
    assert bench.unit.is_empty
    assert (bench.unit.changes(), bench.unit.bytes) == ([], 0)
    assert bench.context.counts.internal_errors == {("decide", "RecursionError"): 1, ("reject", "RecursionError"): 1}


def test_event_that_cannot_be_written_leaves_no_trace_of_its_decision() -> None:
    """State and event are one: without the one the other is not there either."""
    job = _job("submitted")
    bench = _Bench(job, limits={fakes.TOPICS.events: 200})
    bench.take(happened=((job, samples.FACTS["running"]),))
    assert (bench.unit.is_empty, bench.unit.changes(), bench.unit.bytes) == (True, [], 0)


def test_job_whose_words_cannot_be_written_keeps_no_other_from_its_events() -> None:
    """A lone surrogate has no bytes; nothing can be reported of such a job, and all others continue."""
    bad, good = _job("submitted", id="bad", labels={"team": "\ud800"}), _job("submitted", id="good")
    bench = _Bench(bad, good)
    bench.take(happened=((bad, samples.FACTS["running"]), (good, samples.FACTS["running"])))
    assert bench.events() == [("good", "running", None)]
    assert [change.key for change in bench.unit.changes()] == [good.ledger_key]


def test_record_that_could_not_be_read_back_is_never_written() -> None:
    """It would stop the partition at its next restart, for ever: format 1 of the ledger has no infinity."""
    poisoned = samples.request(run_deadline_s=float("inf"))
    bench = _Bench()
    bench.unit.decide(poisoned.ledger_key, facts.Requested(poisoned))
    assert (bench.unit.changes(), bench.unit.outgoing()) == ([], [])
    assert bench.context.counts.internal_errors == {("decide", "ValidationError"): 1}


def test_cluster_whose_look_makes_us_fail_ends_its_job_and_no_other() -> None:
    """No task would follow it any more, and no event would say so."""
    owner = mrs_fakes.Owner()

    class Mrs:
        async def call(self, _wanted: object, *, path: dict[str, str]) -> Any:
            if path["cluster_id"] == "bad":
                raise KeyError("hunter2")
            await asyncio.sleep(3600)

    async def live() -> None:
        watcher = cluster_tracker.ClusterTracker(cast("Any", Mrs()), engine_settings.EngineSettings(), fakes.Time())
        for name in ("bad", "good"):
            job = _job("submitted, a cluster", id=name, seen=jobs.MrsStatus(name))
            watcher.follow(job, job.ledger_key, owner)
        await asyncio.sleep(60)
        await watcher.close()

    scheduling_fakes.run_virtually(live())
    assert [report[1:] for report in owner.reports] == [(b"/billing bad", facts.InternalFailure("KeyError"))]


# sizes --------------------------------------------------------------------------------------------------------------


def _numbers(count: int, spelling: str) -> bytes:
    text = json.dumps(samples.message({"operation": "CreateDataSource", "body": {"data_source": {}}}, "mrs.call"))
    return text.replace('"data_source": {}', f'"data_source": {{"x": [{",".join([spelling] * count)}]}}').encode()


def test_request_that_grows_beyond_its_ledger_record_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number may take four times its spelling; what counts is what is written."""
    monkeypatch.setattr(validation, "check", lambda *_, **__: None)  # so that MRS's models do not mind the numbers
    bench = _Bench(limits={None: 100_000})
    small, large = _numbers(100, "1.5e-5"), _numbers(4_000, "1.00000001e-4")
    monkeypatch.setattr(
        job_records, "encode_readable", lambda job, _: job_records.encode(job) + b" " * 60_000 * (job.id == "large")
    )
    bench.take(samples.record(small.replace(b"order-1", b"small")), samples.record(large.replace(b"order-1", b"large")))

    assert bench.events() == [("small", "accepted", None), ("large", "rejected", "too_large")]

    (text,) = [
        json.loads(s.value or b"")["reason"]["message"]
        for s in bench.unit.outgoing()
        if b"too_large" in (s.value or b"")
    ]

    assert "at most 100000 fit" in text
    assert bench.context.counts.internal_errors == {}


def test_job_that_has_outgrown_the_ledger_ends_and_its_record_shrinks() -> None:
    """The limit was lowered, or MRS says more of the job than there is room for: its work is let go."""
    job = _job("running, for a retry", work=jobs.Batch("SparkSubmit", ("x" * 30_000,)))
    bench = _Bench(job, limits={None: 20_000})
    bench.take(happened=((job, samples.FACTS["progressed"]),))
    assert bench.events() == [("order-1", "unknown", "too_large")]
    (change,) = bench.unit.changes()
    assert len(change.value or b"") < 5_000


def test_cancel_ahead_of_its_turn_that_does_not_fit_leaves_the_job_alone() -> None:
    """The message itself is rejected in its turn; the job goes on until then, and after it."""
    job = _job("running", work=jobs.Batch("SparkSubmit", ("x" * 30_000,)))
    limits: dict[str | None, int] = {None: 20_000}
    cancel = samples.FACTS["cancel"]
    assert isinstance(cancel, facts.CancelRequested)
    bench = _Bench(job, limits=limits)
    bench.take(happened=((job, msgspec.structs.replace(cancel, is_ahead=True)),))
    assert (bench.events(), bench.unit.changes()) == ([], [])
    assert bench.context.counts.internal_errors == {}

    bench = _Bench(job, limits=limits)
    bench.take(samples.record(samples.message({"request": {"id": "order-1"}}, "mrs.job.cancel", id="c-1")))
    assert bench.events() == [("c-1", "rejected", "too_large")]


def test_event_that_does_not_fit_is_reported_without_labels_and_most_words() -> None:
    """Rows go first, then words of others; the end of the request is published in any case."""
    job = _job("submitting", labels={f"label-{number}": "v" * 255 for number in range(16)})
    bench = _Bench(job, limits={fakes.TOPICS.events: 2_500})
    reason = jobs.Reason("refused", "0167", "m" * 2_000)
    bench.take(happened=((job, facts.SubmissionRefused(reason)),))
    (event,) = [json.loads(sent.value or b"") for sent in bench.unit.outgoing()]
    assert (event["state"], event.get("labels")) == ("failed", None)
    assert event["reason"]["message"] == "m" * 200


def test_fault_of_the_relay_is_no_bad_message() -> None:
    """The tree of errors says what the caller may do; a bug of ours is none of them."""
    assert not any(issubclass(type(error), errors.RelayError) for error in _FAULTS)
