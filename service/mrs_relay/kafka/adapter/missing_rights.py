"""Say which right a refusal of Kafka is about, and how it is given; aiokafka's errors name the resource at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aiokafka import errors as kafka_errors

from mrs_relay.kafka import settings
from mrs_relay.kafka.topics import acl_plan


def describe(kafka: settings.KafkaSettings, what: str, error: BaseException) -> str | None:
    """
    Describe the right that is missing; None: the error is about something else.

    Args:
        kafka: the settings.
        what: the action that failed, as in "cannot {what}".
        error: the library's.
    """
    match error:
        case kafka_errors.TopicAuthorizationFailedError():
            operation = "Write" if what.startswith("write") else "Read"
            rules = [acl_plan.Acl("topic", name, (operation,), "") for name in sorted(set(_names(error.args)))]
            if not rules:
                return f"a right on a topic is missing ({error!r}); `mrs-relay topics acls` prints all that is needed"
        case kafka_errors.GroupAuthorizationFailedError():
            rules = [acl_plan.Acl("group", kafka.group_id, ("Read",), "")]
        case kafka_errors.TransactionalIdAuthorizationFailed():
            prefix = acl_plan.transactional_prefix(kafka)
            rules = [acl_plan.Acl("transactional-id", prefix, ("Write", "Describe"), "", prefixed=True)]
        case kafka_errors.ClusterAuthorizationFailedError():
            return f"a right on the cluster is missing ({error!r})"
        case _:
            return None

    return "; ".join(acl_plan.lacking(rule, acl_plan.asker(kafka)) for rule in rules)


def _names(found: Iterable[object]) -> Iterator[str]:
    for one in found:
        if isinstance(one, str):
            yield one
        elif isinstance(one, list | tuple | set | frozenset):
            yield from _names(one)
