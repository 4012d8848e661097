"""The cleanup policy that each topic must have. The ledger's, which concerns state, is in `topic_rules`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from mrs_relay.kafka import settings
from mrs_relay.kafka.topics import topic_facts


class _CleanupPolicy(NamedTuple):
    """The cleanup policy that a topic must have, and the finding if it has another one."""

    topic: Callable[[settings.Topics], str | None]
    wanted: Literal["compact", "delete"]
    severity: topic_facts.Severity
    code: str
    why: str
    name: str = ""
    more: str = ""


_CLEANUP_POLICIES: Final = (
    _CleanupPolicy(
        lambda topics: topics.latest,
        "compact",
        "error",
        "latest_forgets",
        "it must be compact: it would forget",
        name=" (kafka.topics.latest)",
    ),
    _CleanupPolicy(
        lambda topics: topics.control,
        "compact",
        "error",
        "controls_forgotten",
        "it must be compact: a hold would end with its record",
        name=" (kafka.topics.control)",
    ),
    _CleanupPolicy(
        lambda topics: topics.audit,
        "delete",
        "warning",
        "audit_forgotten",
        "it must not be compact: it would keep the last decision on each request alone",
        name=" (kafka.topics.audit)",
    ),
    _CleanupPolicy(
        lambda topics: topics.requests,
        "delete",
        "error",
        "requests_compacted",
        "it must be delete: of requests with one key, such as a cluster's, all but the last would vanish before they "
        "are read",
    ),
    _CleanupPolicy(
        lambda topics: topics.dead_letters,
        "delete",
        "error",
        "dead_letters_compacted",
        "it must be delete: a compacted topic refuses messages without a key, and no commit with such a dead letter "
        "would ever succeed",
    ),
    _CleanupPolicy(
        lambda topics: topics.lineage,
        "delete",
        "warning",
        "lineage_compacted",
        "it must not be compact: it would keep the last run event of each request alone",
        name=" (kafka.topics.lineage)",
    ),
    _CleanupPolicy(
        lambda topics: topics.results,
        "delete",
        "warning",
        "results_compacted",
        "it must not be compact: it would keep the last chunk of each key alone",
        name=" (kafka.topics.results)",
    ),
    _CleanupPolicy(
        lambda topics: topics.events,
        "delete",
        "warning",
        "events_compacted",
        "delete was expected: a late subscriber sees only the last event of each key",
        more="; for the latest status alone there is kafka.topics.latest",
    ),
)


def cleanup_policies(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    """Find topics that keep or forget what they must not."""
    for rule in _CLEANUP_POLICIES:
        topic = rule.topic(facts.kafka.topics)
        compacts = facts.compacts(topic)
        if compacts is None or compacts is (rule.wanted == "compact"):
            continue
        yield topic_facts.Finding(
            rule.severity,
            rule.code,
            f"topic {topic}{rule.name} has cleanup.policy={facts.text(topic, 'cleanup.policy')}, {rule.why}",
            facts.alter(topic, cleanup_policy=rule.wanted) + rule.more,
        )
