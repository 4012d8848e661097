"""Judge the topic of the relays' status. No request needs it, so nothing here keeps a relay from starting. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mrs_relay.kafka.topics import acl_plan, topic_facts


def examine(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    """Yield what is wrong with the topic of the status."""
    status = facts.kafka.topics.status
    if status is None:
        return

    found = facts.cluster.topics.get(status)
    lost = "queues, slots, budgets and pauses are not published, and `mrs-relay why` and `status` know little"

    is_refused = status in facts.cluster.refused or (
        found is not None and found.allowed is not None and "WRITE" not in found.allowed
    )
    if is_refused:
        yield topic_facts.Finding(
            "warning",
            "status_not_allowed",
            f"topic {status} (kafka.topics.status): Kafka does not allow the relay WRITE, which it needs: {lost}",
            acl_plan.remedy(acl_plan.Acl("topic", status, ("Write",), ""), acl_plan.asker(facts.kafka)),
        )
    elif found is None:
        yield topic_facts.Finding(
            "warning",
            "status_missing",
            f"topic {status} (kafka.topics.status) is missing: {lost}",
            "`mrs-relay topics create` makes it",
        )
    elif facts.compacts(status) is False:
        yield topic_facts.Finding(
            "warning",
            "status_not_compacted",
            f"topic {status} (kafka.topics.status) has cleanup.policy={facts.text(status, 'cleanup.policy')}, it must "
            "be compact: it grows with each change, and a reader takes longer and longer to begin",
            facts.alter(status, cleanup_policy="compact,delete"),
        )
