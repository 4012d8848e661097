"""The rights on Kafka that each role gets: those of its topics, and no others."""

from __future__ import annotations

import pytest

from mrs_relay.cli import topic_rights
from mrs_relay.kafka import settings
from mrs_relay.kafka.topics import acl_plan, topic_setup

_KAFKA = settings.KafkaSettings()


@pytest.mark.parametrize("role", ["relay", "web"])
@pytest.mark.parametrize(
    ("latest", "lineage", "results"), [(None, None, None), ("mrs.latest", "mrs.lineage", "mrs.results")]
)
def test_each_topic_of_a_role_is_there_once_and_no_other(
    role: acl_plan.Role, latest: str | None, lineage: str | None, results: str | None
) -> None:
    """The topics are those that `topics create` makes; the ledger is the relay's alone."""
    kafka = _KAFKA.model_copy(update={"topics": settings.Topics(latest=latest, lineage=lineage, results=results)})
    named = [rule.name for rule in acl_plan.acls(kafka, role) if rule.kind == "topic"]
    assert len(named) == len(set(named))
    not_for_web = {kafka.topics.ledger, latest, lineage, results}
    assert set(named) == set(topic_setup.names(kafka)) - (not_for_web if role == "web" else set())


def test_transactional_ids_of_partitions_and_of_the_trial_begin_with_the_prefix() -> None:
    """One rule for all of them; another deployment's do not."""
    (rule,) = [rule for rule in acl_plan.acls(_KAFKA, "relay") if rule.kind == "transactional-id"]
    assert rule.prefixed
    assert rule.operations == ("Write", "Describe")
    for name in (_KAFKA.transactional_id(0), _KAFKA.transactional_id(117), topic_setup.probe_id(_KAFKA)):
        assert name.startswith(rule.name)
    other = _KAFKA.model_copy(update={"app_id": "mrs-relay-2"})
    assert not other.transactional_id(0).startswith(rule.name)


def test_without_transactions_there_is_no_right_on_transactional_ids() -> None:
    """The broker knows none."""
    kafka = _KAFKA.model_copy(update={"guarantee": "at-least-once"})
    assert "transactional-id" not in {rule.kind for rule in acl_plan.acls(kafka, "relay")}


def test_a_producer_may_write_requests_and_a_subscriber_may_read_events() -> None:
    """Nothing else: the rights on its topic are what authenticates a tenant."""
    assert [(one.name, one.operations) for one in acl_plan.acls(_KAFKA, "producer")] == [("mrs.requests", ("Write",))]
    assert [(one.name, one.operations) for one in acl_plan.acls(_KAFKA, "subscriber")] == [("mrs.events", ("Read",))]
    chunked = _KAFKA.model_copy(update={"topics": settings.Topics(results="mrs.results")})
    names = [(one.name, one.operations) for one in acl_plan.acls(chunked, "subscriber")]
    assert names == [("mrs.events", ("Read",)), ("mrs.results", ("Read",))]


def test_a_forwarder_of_lineage_reads_its_topic_in_a_group_of_its_own() -> None:
    """Nothing else, and nothing where no lineage is written."""
    kafka = _KAFKA.model_copy(update={"topics": settings.Topics(lineage="mrs.lineage")})
    rights = [(one.kind, one.name, one.operations) for one in acl_plan.acls(kafka, "lineage")]
    assert rights == [("topic", "mrs.lineage", ("Read",)), ("group", "mrs-relay.mrs.lineage", ("Read",))]
    assert acl_plan.acls(_KAFKA, "lineage") == ()


def test_commands_are_those_of_kafkas_own_tool() -> None:
    """A rule each, with its reason as a comment; names are quoted for the shell."""
    rules = [acl_plan.Acl("transactional-id", "a b.", ("Write", "Describe"), "why", prefixed=True)]
    assert list(topic_rights.commands(rules, "k:9092", "User:relay")) == [
        (
            "# why\nkafka-acls.sh --bootstrap-server k:9092 --add --allow-principal User:relay --operation Write "
            "--operation Describe --transactional-id 'a b.' --resource-pattern-type prefixed"
        )
    ]


def test_strimzis_resources_are_the_same_topics_and_rights() -> None:
    """In Strimzi's own form."""
    kafka = _KAFKA.model_copy(update={"partitions": 12, "replication_factor": 3})
    *topics, user = topic_rights.resources(kafka, acl_plan.acls(kafka, "relay"), "cluster", "relay")
    planned = topic_setup.plan(kafka, partitions=12)
    assert [one["spec"]["topicName"] for one in topics] == [one.name for one in planned]
    assert [one["spec"]["config"] for one in topics] == [one.configs for one in planned]
    rules = user["spec"]["authorization"]["acls"]
    assert {rule["resource"]["patternType"] for rule in rules} == {"literal", "prefix"}
    assert user["metadata"] == {"name": "relay", "labels": {"strimzi.io/cluster": "cluster"}}
    assert {one["spec"]["replicas"] for one in topics} == {3}


def test_strimzi_is_given_no_number_of_replicas_that_the_brokers_choose() -> None:
    """Its schema begins at 1, Kafka's own -1 is refused."""
    assert not any("replicas" in one for one in topic_rights.strimzi_topics(_KAFKA))
