"""
Judge the topics by rules: facts in, findings out. Pure; `topic_setup.py` fetches the facts.

Each rule is a function of the facts and names one kind of fault, its consequence, and its remedy. All findings are
reported at once. A fact that the broker does not report breaks no rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from mrs_relay.kafka import codecs
from mrs_relay.kafka.topics import acl_plan, cleanup_rules, size_rules, status_rules, topic_facts

MISSING: Final = "missing_topics"
"""Code of the finding that names missing topics."""

_SAFE_REPLICAS: Final = 3
_DAY_MS: Final = 86_400_000
_LEAST_RETENTION_BYTES: Final = 128 * 1024 * 1024
_SHOWN: Final = 5
_CONFIGS_SHOWN: Final = frozenset({"DESCRIBE_CONFIGS"})


def examine(facts: topic_facts.Facts) -> tuple[topic_facts.Finding, ...]:
    """Apply all rules; errors come first, then outages, then warnings."""
    found = [finding for rule in _RULES for finding in rule(facts)]
    order: list[topic_facts.Severity] = ["error", "outage", "warning"]
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


# What exists


def _missing(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    control = facts.kafka.topics.control
    missing = [name for name in facts.uses if name not in facts.cluster.topics and name not in facts.cluster.refused]
    if control in missing:
        missing.remove(control)
        yield topic_facts.Finding(
            "warning",
            "no_controls",
            f"topic {control} (kafka.topics.control) is missing: there are no controls, such as holds",
            "`mrs-relay topics create` makes it; one that is there and not seen needs the right to describe it",
        )

    audit = facts.kafka.topics.audit
    if audit in missing:
        missing.remove(audit)
        yield topic_facts.Finding(
            "warning",
            "no_audit",
            f"topic {audit} (kafka.topics.audit) is missing: decisions of people, such as cancels, are not kept",
            "`mrs-relay topics create` makes it",
        )

    if missing:
        yield topic_facts.Finding(
            "error",
            MISSING,
            f"missing topics: {', '.join(missing)}",
            "`mrs-relay topics create` makes them (names: settings kafka.topics.*); one that is there and not seen "
            "needs the right to describe it",
        )


def _ledger_partitions(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    requests, ledger = facts.kafka.topics.requests, facts.kafka.topics.ledger
    wanted, found = facts.count(requests), facts.count(ledger)
    if wanted and found and wanted != found:
        grown, most = (ledger, wanted) if found < wanted else (requests, found)
        yield topic_facts.Finding(
            "error",
            "ledger_partitions",
            f"topic {ledger} has {found} partitions, {requests} has {wanted}: a ledger needs exactly as many "
            "as its input",
            f"`kafka-topics.sh --bootstrap-server {facts.kafka.bootstrap_servers} --alter --topic {grown} "
            f"--partitions {most}`",
        )


def _control_partitions(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    control = facts.kafka.topics.control
    found = facts.count(control)
    if found > 1:
        yield topic_facts.Finding(
            "warning",
            "control_partitions",
            f"topic {control} (kafka.topics.control) has {found} partitions, 1 was expected: controls of one scope "
            "that clients write to different ones have no order",
            "while no control is in effect (`mrs-relay controls`), delete it and run `mrs-relay topics create`",
        )


def _rights(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    for rule in acl_plan.acls(facts.kafka, "relay"):
        needed = facts.uses.get(rule.name, frozenset()) if rule.kind == "topic" else frozenset()
        found = facts.cluster.topics.get(rule.name)
        allowed = frozenset[str]() if rule.name in facts.cluster.refused else None if found is None else found.allowed
        if allowed is None or not (lacking := sorted(needed - allowed)):
            continue

        missing = dataclasses.replace(rule, operations=tuple(operation.title() for operation in lacking))
        # Without a record of them limits and rules are not read again; a control topic that is hidden may be missing.
        is_needed = rule.name != facts.kafka.topics.audit and (found or rule.name != facts.kafka.topics.control)

        yield topic_facts.Finding(
            "error" if is_needed else "warning",
            "not_allowed",
            f"topic {rule.name}: the relay needs {' and '.join(sorted(needed))}, Kafka does not allow it "
            f"{' and '.join(lacking)}",
            acl_plan.remedy(missing, acl_plan.asker(facts.kafka)),
        )


def _hidden_configs(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    topics = facts.cluster.topics
    status = facts.kafka.topics.status
    names = facts.present if status is None or status not in topics else [*facts.present, status]
    hidden = [name for name in names if (topics[name].allowed or _CONFIGS_SHOWN).isdisjoint(_CONFIGS_SHOWN)]
    if hidden:
        rule = acl_plan.Acl("topic", hidden[0], ("DescribeConfigs",), "")
        yield topic_facts.Finding(
            "warning",
            "configs_not_allowed",
            f"Kafka does not allow the relay DESCRIBE_CONFIGS of {', '.join(hidden)}: their settings are not checked",
            acl_plan.remedy(rule, acl_plan.asker(facts.kafka)),
        )


def _versions(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    if facts.kafka.transactional and not facts.abilities.transactions:
        yield topic_facts.Finding(
            "error",
            "no_transactions",
            "this broker knows no transactions, which kafka.guarantee=exactly-once needs",
            "use another broker, or set kafka.guarantee=at-least-once (MRS_RELAY_KAFKA__GUARANTEE)",
        )


def _codecs(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    for codec, reason in codecs.missing().items():
        concerned = ", ".join(name for name in facts.present if facts.text(name, "compression.type") == codec)
        also = f"; compression.type={codec} of {concerned} packs all that is written there" if concerned else ""
        text = f"this installation cannot unpack {codec}, which any sender may use: {reason}{also}"
        yield topic_facts.Finding("error", "codec_missing", text)


# What is forgotten


def _ledger_policy(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    ledger = facts.kafka.topics.ledger
    policy = facts.text(ledger, "cleanup.policy")
    if policy is None:
        if ledger in facts.present:
            text = f"this broker does not report cleanup.policy of {ledger}; it must be compact, without delete"
            yield topic_facts.Finding("warning", "policy_not_told", text)
    elif policy != "compact":
        rule = "it must be compact" if "compact" not in policy else "it must not delete"
        yield topic_facts.Finding(
            "error",
            "ledger_forgets",
            f"topic {ledger} has cleanup.policy={policy}, {rule}: state would be forgotten",
            facts.alter(ledger, cleanup_policy="compact"),
        )


def _requests_retention(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    requests = facts.kafka.topics.requests
    if facts.compacts(requests) is not False:
        return

    age_ms, size_bytes = facts.number(requests, "retention.ms"), facts.number(requests, "retention.bytes")
    segment_ms, segment_bytes = facts.number(requests, "segment.ms"), facts.number(requests, "segment.bytes")
    lost = "requests that the relay has not read by then, after an outage, are lost (it notices and stops there)"

    if age_ms is not None and 0 <= age_ms < _DAY_MS:
        yield topic_facts.Finding(
            "warning",
            "requests_short_retention",
            f"topic {requests} keeps messages for retention.ms={age_ms}, in segments of segment.ms={segment_ms}; a day "
            f"({_DAY_MS}) or more was expected: {lost}",
            facts.alter(requests, retention_ms=7 * _DAY_MS),
        )

    if size_bytes is not None and 0 <= size_bytes < _LEAST_RETENTION_BYTES:
        yield topic_facts.Finding(
            "warning",
            "requests_small_retention",
            f"topic {requests} keeps retention.bytes={size_bytes} a partition, in segments of "
            f"segment.bytes={segment_bytes}; {_LEAST_RETENTION_BYTES} or more, or -1, was expected: {lost}",
            facts.alter(requests, retention_bytes=-1),
        )


def _compaction(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    wanted_ms = facts.kafka.max_compaction_lag_ms
    topics = facts.kafka.topics
    for name, content in ((topics.ledger, "SQL and arguments of jobs"), (topics.latest, "rows of results")):
        found_ms = facts.number(name, "max.compaction.lag.ms")
        if wanted_ms and found_ms is not None and found_ms > wanted_ms:
            yield topic_facts.Finding(
                "warning",
                "slow_compaction",
                f"topic {name} has max.compaction.lag.ms={found_ms}, at most {wanted_ms} "
                f"(kafka.max_compaction_lag_ms) was expected: Kafka may keep overwritten {content} for longer",
                facts.alter(name, max_compaction_lag_ms=wanted_ms),
            )


# How safely it is kept


def _replicas(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    wanted = facts.kafka.replication_factor
    if facts.cluster.brokers >= _SAFE_REPLICAS:
        wanted = max(wanted, _SAFE_REPLICAS)
    few = {name: found for name in facts.present if (found := facts.replicas(name)) < wanted}

    if facts.cluster.brokers >= _SAFE_REPLICAS:
        few |= {
            name: found
            for name in topic_facts.internal(facts.kafka, facts.cluster)
            if (found := facts.replicas(name)) < _SAFE_REPLICAS
        }

    if few:
        counts = ", ".join(f"{name} {found}" for name, found in few.items())
        yield topic_facts.Finding(
            "warning",
            "too_few_replicas",
            f"too few replicas on {facts.cluster.brokers} brokers, {wanted} were expected: {counts}; what the only "
            "broker holds is gone with its disk, and waits while it is away",
            f"`kafka-reassign-partitions.sh --bootstrap-server {facts.kafka.bootstrap_servers} --execute "
            f"--reassignment-json-file FILE`, with {wanted} replicas for each partition",
        )


def _min_isr(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    for name in facts.present:
        replicas, least = facts.replicas(name), facts.number(name, "min.insync.replicas")
        if least is None:
            continue

        if least > replicas:
            yield topic_facts.Finding(
                "error",
                "min_isr_unreachable",
                f"topic {name} has min.insync.replicas={least} and {replicas} replicas: nothing can be written to it",
                facts.alter(name, min_insync_replicas=max(1, replicas - 1)),
            )
        elif least == 1 < replicas:
            yield topic_facts.Finding(
                "warning",
                "min_isr_one",
                f"topic {name} has min.insync.replicas=1 with {replicas} replicas, 2 was expected: a write is "
                "acknowledged when one broker has it, and lost with that broker",
                facts.alter(name, min_insync_replicas=2),
            )


def _unclean_election(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    for name in facts.present:
        if facts.replicas(name) > 1 and facts.text(name, "unclean.leader.election.enable") == "true":
            yield topic_facts.Finding(
                "warning",
                "unclean_election",
                f"topic {name} has unclean.leader.election.enable=true, false was expected: a replica that lacks "
                "acknowledged records may become the leader, and they are lost",
                facts.alter(name, unclean_leader_election_enable="false"),
            )


# What is out of order at this moment


def _leaders(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    concerned = {*facts.present, *topic_facts.internal(facts.kafka, facts.cluster)}
    if missing := [position for position in sorted(facts.cluster.leaderless) if position.topic in concerned]:
        yield topic_facts.Finding(
            "outage",
            "no_leader",
            f"no leader for {_listed([str(position) for position in missing])}: what is kept there waits, and "
            "continues by itself when the leader is back",
            f"start the broker that holds it (`kafka-topics.sh --bootstrap-server {facts.kafka.bootstrap_servers} "
            "--describe --unavailable-partitions`)",
        )


def _in_sync(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    few = []
    for name in [*facts.present, *topic_facts.internal(facts.kafka, facts.cluster)]:
        least = facts.number(name, "min.insync.replicas") or 1
        for number, partition in enumerate(facts.cluster.topics[name].partitions):
            if partition.has_leader and partition.in_sync < least <= partition.replicas:
                few.append(f"{name}-{number} ({partition.in_sync} of {partition.replicas}, {least} needed)")
    if few:
        yield topic_facts.Finding(
            "outage",
            "under_min_isr",
            f"too few in-sync replicas, nothing can be written: {_listed(few)}",
            f"start the missing brokers (`kafka-topics.sh --bootstrap-server {facts.kafka.bootstrap_servers} "
            "--describe --under-min-isr-partitions`)",
        )


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


_RULES: Final = (
    _missing,
    _ledger_partitions,
    _control_partitions,
    _rights,
    _hidden_configs,
    _versions,
    _codecs,
    _ledger_policy,
    cleanup_rules.cleanup_policies,
    _min_isr,
    size_rules.batches_fit,
    _leaders,
    _in_sync,
    size_rules.limits_known,
    size_rules.limits_fit,
    _requests_retention,
    _compaction,
    _replicas,
    _unclean_election,
    status_rules.examine,
)
