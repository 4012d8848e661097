"""Each rule of a tenant, kept and broken: what is reported, and by which name."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest

from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.intake import policy_check, reader
from mrs_relay.engine.model import facts, job_names, jobs
from mrs_relay.kafka import records
from mrs_relay.messages import envelope, reasons, requests
from mrs_relay.mrs.operations import registry

CLUSTER = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"
JOB = {"cluster": CLUSTER, "job": {"job_type": "SparkSubmit"}}
SQL = {"cluster": CLUSTER, "engine": "spark", "statement": "select 1"}
PRESTO = {**SQL, "engine": "presto"}
EXECUTE = {
    "operation": "CreateExecuteJob",
    "path": {"cluster_id": CLUSTER},
    "body": {"job_type": "Flink", "job_name": "x"},
}
OLD_JOB = {
    "operation": "CreateAndExecuteJob",
    "body": {"job_type": 1, "job_name": "x", "cluster_id": CLUSTER, "jar_path": "s3a://b/a.jar"},
}
RUN = {
    "operation": "ExecuteJob",
    "path": {"job_id": "j-1"},
    "body": {"cluster_id": CLUSTER, "input_id": "i-1", "output_id": "o-1", "job_configs": {}},
}
ORDER = {"body": {"cluster_name": "night-7", "tags": [{"key": "team", "value": "red"}]}}
FLOW = {"body": {"cluster_name": "night-7", "steps": [{"job_execution": {"job_type": "MapReduce"}}]}}
TARGET = {"request": {"id": "r-1"}}


def policy(**groups: Any) -> policies.Policy:
    """Return the rules of a tenant."""
    ruled = policies.TenantPolicy.model_validate(groups)
    return policies.Policy("nightly", ruled.allow, ruled.limits, ruled.defaults)


def request(kind: str, data: dict[str, Any]) -> requests.Request:
    """Return a valid request."""
    return requests.MODELS[kind].model_validate(data)


def work(kind: str, data: dict[str, Any]) -> requests.Work:
    """Return a valid request that becomes a job."""
    found = request(kind, data)
    assert not isinstance(found, requests.JobCancel | requests.JobResolve)
    return found


def broken(chosen: policies.Policy, kind: str, data: dict[str, Any]) -> jobs.Reason | None:
    return policy_check.violation(chosen, kind, request(kind, data))


@pytest.mark.parametrize(
    ("groups", "kind", "data", "rule", "code"),
    [
        ({"allow": {"types": ["mrs.sql.submit"]}}, "mrs.job.submit", JOB, "allow.types", "type_not_allowed"),
        ({"allow": {"types": []}}, "mrs.sql.submit", SQL, "allow.types", "type_not_allowed"),
        ({"allow": {"types": ["mrs.sql.*"]}}, "mrs.job.cancel", TARGET, "allow.types", "type_not_allowed"),
        ({"allow": {"operations": ["Show*"]}}, "mrs.call", EXECUTE, "allow.operations", "operation_not_allowed"),
        ({"allow": {"job_types": ["Flink"]}}, "mrs.job.submit", JOB, "allow.job_types", "job_type_not_allowed"),
        ({"allow": {"job_types": ["HiveSql"]}}, "mrs.sql.submit", SQL, "allow.job_types", "job_type_not_allowed"),
        ({"allow": {"job_types": ["SparkSql"]}}, "mrs.sql.submit", PRESTO, "allow.job_types", "job_type_not_allowed"),
        ({"allow": {"job_types": ["SparkSql"]}}, "mrs.call", EXECUTE, "allow.job_types", "job_type_not_allowed"),
        ({"allow": {"job_types": ["SparkSql"]}}, "mrs.call", OLD_JOB, "allow.job_types", "job_type_not_allowed"),
        ({"allow": {"job_types": ["MapReduce"]}}, "mrs.call", RUN, "allow.job_types", "job_type_not_allowed"),
        ({"allow": {"job_types": ["Flink"]}}, "mrs.cluster.flow", FLOW, "allow.job_types", "job_type_not_allowed"),
        ({"allow": {"clusters": ["c-2"]}}, "mrs.sql.submit", SQL, "allow.clusters", "cluster_not_allowed"),
        ({"allow": {"clusters": ["c-2"]}}, "mrs.call", EXECUTE, "allow.clusters", "cluster_not_allowed"),
        ({"allow": {"clusters": ["c-2"]}}, "mrs.call", OLD_JOB, "allow.clusters", "cluster_not_allowed"),
        (
            {"allow": {"clusters": ["c-2"]}},
            "mrs.job.delete",
            {"cluster": "c-1", "job_ids": ["j"]},
            "allow.clusters",
            "cluster_not_allowed",
        ),
        ({"allow": {"clusters": ["name:day-*"]}}, "mrs.cluster.create", ORDER, "allow.clusters", "cluster_not_allowed"),
        ({"allow": {"clusters": ["tag:team=blue"]}}, "mrs.cluster.flow", FLOW, "allow.clusters", "cluster_not_allowed"),
        (
            {"limits": {"queue_deadline_s": 60}},
            "mrs.call",
            {**EXECUTE, "queue_deadline_s": 61.0},
            "limits.queue_deadline_s",
            "deadline_too_long",
        ),
        (
            {"limits": {"run_deadline_s": 60}},
            "mrs.job.submit",
            {**JOB, "run_deadline_s": 60.5},
            "limits.run_deadline_s",
            "deadline_too_long",
        ),
        ({"limits": {"running": 1}}, "mrs.call", EXECUTE, "limits.running", "not_followed"),
        ({"limits": {"run_deadline_s": 60}}, "mrs.call", EXECUTE, "limits.run_deadline_s", "not_followed"),
        ({"limits": {"running": 1}}, "mrs.call", OLD_JOB, "limits.running", "not_followed"),
        ({"limits": {"running": 1}}, "mrs.call", RUN, "limits.running", "not_followed"),
    ],
)
def test_what_breaks_a_rule_is_reported_with_the_rule_s_name(
    groups: dict[str, Any], kind: str, data: dict[str, Any], rule: str, code: str
) -> None:
    """The reason's code is of the closed list; its message names the tenant, the rule and what to do."""
    reason = broken(policy(**groups), kind, data)
    assert reason is not None
    assert (reason.kind, reason.code) == ("not_allowed", code)
    assert code in reasons.CODES
    assert f"tenants.nightly.{rule}" in reason.message
    assert "tenant nightly" in reason.message
    assert "; " in reason.message


@pytest.mark.parametrize(
    ("groups", "kind", "data"),
    [
        ({}, "mrs.job.submit", JOB),
        ({"allow": {"types": ["mrs.*"]}}, "mrs.cluster.delete", {"cluster": "c-1"}),
        ({"allow": {"types": ["mrs.job.submit", "mrs.job.cancel"]}}, "mrs.job.cancel", TARGET),
        ({"allow": {"operations": []}}, "mrs.job.submit", JOB),
        ({"allow": {"operations": ["ShowC*", "CreateExecuteJob"]}}, "mrs.call", EXECUTE),
        ({"allow": {"job_types": ["Spark*"]}}, "mrs.job.submit", JOB),
        ({"allow": {"job_types": ["SparkSql"]}}, "mrs.sql.submit", SQL),
        ({"allow": {"job_types": ["Presto"]}}, "mrs.sql.submit", PRESTO),
        ({"allow": {"job_types": ["MapReduce"]}}, "mrs.call", OLD_JOB),
        ({"allow": {"job_types": ["MapReduce"]}}, "mrs.cluster.flow", FLOW),
        ({"allow": {"job_types": ["*"]}}, "mrs.call", RUN),
        ({"allow": {"job_types": []}}, "mrs.call", {"operation": "ListClusters"}),
        ({"allow": {"clusters": ["c-2", CLUSTER]}}, "mrs.sql.submit", SQL),
        ({"allow": {"clusters": []}}, "mrs.call", {"operation": "ListClusters"}),
        ({"allow": {"clusters": ["c-2"]}}, "mrs.job.cancel", TARGET),
        ({"allow": {"clusters": ["name:night-*"]}}, "mrs.cluster.create", ORDER),
        ({"allow": {"clusters": ["tag:team=red"]}}, "mrs.cluster.create", ORDER),
        ({"limits": {"run_deadline_s": 60}}, "mrs.job.submit", {**JOB, "run_deadline_s": 60.0}),
        ({"limits": {"running": 1, "run_deadline_s": 60}}, "mrs.call", {"operation": "ListClusters"}),
        ({"limits": {"per_minute": 1, "queued": 1, "queue_deadline_s": 60}}, "mrs.call", EXECUTE),
        ({"limits": {"queue_deadline_s": 60}}, "mrs.job.resolve", {**TARGET, "verdict": "failed", "note": "x"}),
    ],
)
def test_what_keeps_the_rules_passes(groups: dict[str, Any], kind: str, data: dict[str, Any]) -> None:
    """What is not set restricts nothing, patterns match whole names, and wishes about one's own requests pass."""
    assert broken(policy(**groups), kind, data) is None


@pytest.mark.parametrize(
    ("wanted", "cluster", "allowed"),
    [
        (None, ("c-1", "", {}), True),
        ([], ("c-1", "night-1", {"a": "b"}), False),
        (["c-1"], ("c-1", "", {}), True),
        (["c-1"], ("c-10", "c-1", {}), False),
        (["name:night-*"], ("c-1", "night-1", {}), True),
        (["name:*"], ("c-1", "", {}), False),
        (["name:night"], ("night", "night-1", {}), False),
        (["name:night"], ("c-1", "night-mr0123456789abcd", {}), True),
        (["name:night"], ("c-1", "night-mr0123456789abc", {}), False),
        (["tag:team=red"], ("c-1", "", {"team": "red"}), True),
        (["tag:team=red"], ("c-1", "", {"team": "reddish"}), False),
        (["tag:team="], ("c-1", "", {}), False),
        (["tag:team="], ("c-1", "", {"team": ""}), True),
        (["name:x", "c-1"], ("c-1", "y", {}), True),
    ],
)
def test_a_cluster_is_allowed_by_its_id_its_name_or_a_tag(
    wanted: list[str] | None, cluster: tuple[str, str, dict[str, str]], allowed: bool
) -> None:
    """One match is enough; a name that is not known matches nothing."""
    assert policy_check.cluster_allowed(policy(allow={"clusters": wanted}), *cluster) is allowed


def test_only_names_and_tags_can_tell_of_a_cluster_that_no_id_allows() -> None:
    """A look-up is needed where an id is not enough, and not where it is, or where there is no rule."""
    by_name = policy(allow={"clusters": ["name:night-*", "c-1"]})
    assert policy_check.needs_lookup(by_name, work("mrs.sql.submit", SQL)) == {CLUSTER}
    assert broken(by_name, "mrs.sql.submit", SQL) is None
    assert policy_check.needs_lookup(by_name, work("mrs.sql.submit", {**SQL, "cluster": "c-1"})) == set()
    assert policy_check.needs_lookup(policy(), work("mrs.sql.submit", SQL)) == set()


def _message(kind: str, data: Any) -> envelope.Envelope:
    return envelope.Envelope("r-1", "/s", kind, data, {}, {})


def test_defaults_stand_where_a_request_says_nothing() -> None:
    """What the request says wins; fields that its type does not have are not filled in."""
    chosen = policy(
        defaults={"cluster": "c-1", "priority": 7, "database": "sales", "retry": {"attempts": 2}, "labels": {"a": "b"}},
        limits={"queue_deadline_s": 60, "run_deadline_s": 120},
    )
    filled = policy_check.with_defaults(chosen, _message("mrs.sql.submit", {"priority": 1, "engine": "hive"}))

    assert filled.data == {
        "priority": 1,
        "engine": "hive",
        "cluster": "c-1",
        "database": "sales",
        "retry": {"attempts": 2},
        "labels": {"a": "b"},
        "queue_deadline_s": 60,
        "run_deadline_s": 120,
    }

    call = policy_check.with_defaults(chosen, _message("mrs.call", {"operation": "ListClusters"}))
    assert sorted(call.data) == ["labels", "operation", "priority", "queue_deadline_s"]

    cancel = _message("mrs.job.cancel", TARGET)
    assert policy_check.with_defaults(chosen, cancel) is cancel


@pytest.mark.parametrize("kind", ["mrs.cluster.delete", "mrs.cluster.resize", "mrs.job.delete"])
def test_what_deletes_or_resizes_gets_no_cluster_by_default(kind: str) -> None:
    """A message that forgot to name its cluster is rejected; it never falls on the tenant's usual one."""
    chosen = policy(defaults={"cluster": "c-1", "priority": 7})
    assert policy_check.with_defaults(chosen, _message(kind, {})).data == {"priority": 7}


@pytest.mark.parametrize("data", [None, [], "text"])
def test_a_message_that_is_no_request_is_left_as_it_is(data: Any) -> None:
    """Defaults make nothing valid that is not."""
    odd = _message("mrs.sql.submit", data)
    assert policy_check.with_defaults(policy(defaults={"priority": 3}), odd) is odd


def test_a_default_deadline_wins_over_the_longest_one() -> None:
    """The limit stands only where neither the request nor the defaults say how long."""
    chosen = policy(defaults={"run_deadline_s": 30}, limits={"run_deadline_s": 120})
    assert policy_check.with_defaults(chosen, _message("mrs.job.submit", {})).data == {"run_deadline_s": 30}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"allow": {"types": ["mrs.jobs.*"]}}, "mrs.jobs"),
        ({"allow": {"operations": ["ListCluster"]}}, "ListCluster"),
        ({"allow": {"job_types": ["Sparkle"]}}, "Sparkle"),
        ({"allow": {"clusters": ["name:"]}}, "name:PATTERN"),
        ({"allow": {"clusters": ["tag:team"]}}, "tag:KEY=VALUE"),
        ({"allow": {"clusters": ["not an id"]}}, "not an id"),
        ({"limits": {"running": 0}}, "limits.running"),
        ({"defaults": {"priority": 10}}, "defaults.priority"),
        ({"defaults": {"cluster": "not an id"}}, "defaults.cluster"),
        ({"defaults": {"retry": {"attempts": 1}}}, "defaults.retry"),
        ({"defaults": {"run_deadline_s": 10}, "limits": {"run_deadline_s": 5}}, "limits.run_deadline_s"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(groups: dict[str, Any], expected: str) -> None:
    """A misspelt name would allow nothing, or everything, without a word."""
    with pytest.raises(pydantic.ValidationError, match=expected.replace(".", "[.\n]")):
        policies.TenantPolicy.model_validate(groups)


def _read(kind: str, data: dict[str, Any], chosen: policies.Policy) -> tuple[jobs.LedgerKey, facts.Fact]:
    value = json.dumps({"id": "r-1", "source": "/s", "type": kind, "data": data}).encode()
    record = records.Record("a.requests", 0, 7, 0, b"k", value)
    found = reader.read(record, frozenset(), 100_000, chosen)
    assert isinstance(found, tuple)
    return found


def test_a_request_carries_what_the_rules_say_of_it_and_whose_it_is() -> None:
    """Intake notes the broken rule beside the job; whether it is a new one is decided later."""
    _, fact = _read("mrs.job.submit", JOB, policy(allow={"types": ["mrs.sql.submit"]}))
    assert isinstance(fact, facts.Requested)
    assert fact.rejection is not None
    _, fact = _read("mrs.job.submit", JOB, policy())
    assert isinstance(fact, facts.Requested)
    assert (fact.rejection, fact.job.tenant) == (None, "nightly")


@pytest.mark.parametrize(
    ("kind", "data"),
    [("mrs.job.submit", JOB), ("mrs.cluster.delete", {"cluster": CLUSTER}), ("mrs.call", EXECUTE)],
)
def test_a_cluster_that_only_its_name_can_allow_is_looked_up_first(kind: str, data: dict[str, Any]) -> None:
    """Nothing is submitted to a cluster that no rule allows."""
    _, fact = _read(kind, data, policy(allow={"clusters": ["name:night-*"]}))
    assert isinstance(fact, facts.Requested)
    assert fact.rejection is None
    assert (fact.job.state, fact.job.choice) == (jobs.State.CHOOSING, jobs.Choice(id=CLUSTER))


def test_a_cluster_in_the_body_of_a_call_must_be_allowed_by_its_id() -> None:
    """What is not looked up is not allowed."""
    for wanted, code in ((["name:night-*"], "cluster_not_allowed"), (["name:night-*", CLUSTER], None)):
        _, fact = _read("mrs.call", OLD_JOB, policy(allow={"clusters": wanted}))
        assert isinstance(fact, facts.Requested)
        assert (fact.rejection and fact.rejection.code) == code


def test_an_answer_to_a_cancel_is_read_although_cancels_are_not_allowed_any_more() -> None:
    """What another partition says of a cancel that was allowed is no cancel, and names the request itself."""
    value = json.dumps({"id": "r-1", "source": "/s", "type": "mrs.job.cancel", "data": TARGET}).encode()
    answer = records.Record("t", 0, 1, 0, b"k", value, ((reader.MATCHED_HEADER, b"1"),))
    meaning = reader.read(answer, frozenset(), 1_000_000, policy(allow={"types": []}))
    assert meaning == (jobs.ledger_key("/s", "r-1"), facts.CancelMatched())


def test_a_cancel_that_is_not_allowed_is_rejected_under_its_own_id() -> None:
    """It never becomes a wish about the request that it names."""
    key, fact = _read("mrs.job.cancel", TARGET, policy(allow={"types": ["mrs.job.submit"]}))
    assert isinstance(fact, facts.InvalidRequest)
    assert key == jobs.ledger_key("/s", "r-1")
    assert fact.reason.code == "type_not_allowed"


def test_defaults_do_not_change_what_makes_a_request_the_same() -> None:
    """The digest is of what was sent: new defaults do not turn a repeat into a conflict."""
    digests = set()
    for priority in (3, 4):
        _, fact = _read("mrs.job.submit", JOB, policy(defaults={"priority": priority}))
        assert isinstance(fact, facts.Requested)
        assert fact.job.priority == priority
        digests.add(fact.job.digest)
    _, fact = _read("mrs.job.submit", {**JOB, "priority": None, "labels": {}}, policy(defaults={"labels": {"a": "b"}}))
    assert isinstance(fact, facts.Requested)
    assert {fact.job.digest} == digests


def test_a_tenants_token_is_its_own_and_a_job_without_one_keeps_the_old() -> None:
    """The token by which a submission is found again names the tenant, too; ledgers of before keep their tokens."""
    key = jobs.ledger_key("/billing", "order-1")
    assert job_names.submission_token(key, 1) == job_names.submission_token(key, 1, "") == "mr1f224a995004c3"
    assert len({job_names.submission_token(key, 1, tenant) for tenant in ("", "a", "b")}) == 3


def test_every_operation_that_begins_work_names_a_type_that_follows_it() -> None:
    """The names are those of operations and of request types; what they name is what the rejection tells to send."""
    assert policy_check.FOLLOWED_BY.keys() <= registry.OPERATIONS.keys()
    assert {kind.split()[0] for kind in policy_check.FOLLOWED_BY.values()} <= requests.MODELS.keys()
    for operation, kind in policy_check.FOLLOWED_BY.items():
        call = requests.Call.model_construct(operation=operation)  # type: ignore[arg-type]  # a name known at run time
        reason = policy_check.violation(policy(limits={"running": 1}), "mrs.call", call)
        assert reason is not None
        assert (reason.code, reason.field) == ("not_followed", "data.operation")
        assert f"send {kind} instead" in reason.message
