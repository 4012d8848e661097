"""
Make the files of the chart that come from elsewhere: topics and rights from the relay's code, alerts and dashboards.

`python -m tools.deploy.chart_files write|check`. The chart's topics and users are those of `mrs-relay topics create`
and `mrs-relay topics acls`; a template puts the values' names in place of the defaults.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from mrs_relay.cli import topic_rights
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.topics import acl_plan

_ROOT: Final = Path(__file__).parents[2]
_CHART: Final = _ROOT / "deploy/helm/mrs-relay/files"
_OBSERVE: Final = _ROOT / "deploy/observe"
_MANY: Final = 7_777
"""Stands for the partitions of requests, ledger and events, which a value gives."""


def main(action: str) -> int:
    """Write the files, or name those that are out of date; returns the exit code."""
    made = {_CHART / "topics.json": json.dumps(_plan(), indent=2) + "\n"}
    for source in (_OBSERVE / "alerts.yaml", *sorted((_OBSERVE / "dashboards").glob("*.json"))):
        made[_CHART / source.relative_to(_OBSERVE)] = source.read_text(encoding="utf-8")

    if action == "write":
        for path, text in made.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    old = [path for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in old:
        print(f"{path.relative_to(_ROOT)} is out of date: write it again with `make chart`", file=sys.stderr)
    return 1 if old else 0


def _plan() -> dict[str, Any]:
    named = kafka_settings.Topics(latest="mrs.latest", lineage="mrs.lineage", results="mrs.results")
    kafka = kafka_settings.KafkaSettings(partitions=_MANY, replication_factor=3, topics=named)

    topics = [
        {
            **_named(kafka, topic["topicName"]),
            "partitions": 0 if topic["partitions"] == _MANY else topic["partitions"],
            "config": topic["config"],
        }
        for topic in topic_rights.strimzi_topics(kafka)
    ]

    roles: tuple[acl_plan.Role, ...] = ("relay", "web", "lineage")
    return {
        "topics": topics,
        "acls": {role: [_rule(kafka, rule) for rule in acl_plan.acls(kafka, role)] for role in roles},
    }


def _rule(kafka: kafka_settings.KafkaSettings, rule: acl_plan.Acl) -> dict[str, Any]:
    (shown,) = topic_rights.strimzi_acls([rule])
    resource = shown["resource"]
    named = _named(kafka, rule.name) if rule.kind == "topic" else {}
    return {
        "type": resource["type"],
        **named,
        "patternType": resource["patternType"],
        "operations": shown["operations"],
    }


def _named(kafka: kafka_settings.KafkaSettings, topic: str) -> dict[str, str]:
    """Return the setting that names a topic, its default ("": it is there if named), and what follows the name."""
    if topic == kafka.topics.ledger:
        requests = kafka.topics.requests
        return {"setting": "requests", "name": requests, "suffix": topic.removeprefix(requests)}
    setting = next(name for name, value in kafka.topics.model_dump().items() if value == topic)
    default = kafka_settings.Topics.model_fields[setting].default or ""
    return {"setting": setting, "name": default, "suffix": ""}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
