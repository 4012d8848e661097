"""
A service on librdkafka: submits batch jobs and SQL in binary mode and as plain JSON, and follows their events.

python jobs_librdkafka.py BOOTSTRAP REQUESTS EVENTS CLUSTER; prints one JSON text: request id → list of
[sequence, type, id, correlation id]. It imports nothing of the service.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import confluent_kafka

LAST = {"rejected", "succeeded", "failed", "cancelled", "unknown"}


def main(bootstrap: str, requests: str, events: str, cluster: str) -> None:
    """Send, follow, print."""

    def job(name: str) -> dict[str, Any]:
        return {"cluster": cluster, "job": {"job_type": "SparkSubmit", "job_name": name}}

    wanted = {
        "l-1": ("mrs.job.submit", job("librdkafka")),
        "l-2": ("mrs.job.submit", job("will-fail")),
        "l-3": ("mrs.sql.submit", {"cluster": cluster, "engine": "presto", "statement": "show tables"}),
        "l-4": ("mrs.sql.submit", {"cluster": cluster, "engine": "oracle", "statement": "select 1"}),
    }
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "librdkafka", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([events])
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for number, (request_id, (kind, data)) in enumerate(wanted.items()):
        if number % 2 == 0:
            headers = {"ce_specversion": "1.0", "ce_id": request_id, "ce_source": "/librdkafka", "ce_type": kind}
            more = {"content-type": "application/json", "ce_correlationid": "run-7"}
            producer.produce(requests, json.dumps(data), key=cluster, headers={**headers, **more})
        else:
            message = {"id": request_id, "source": "/librdkafka", "type": kind, "data": data}
            producer.produce(requests, json.dumps(message), key=cluster)
    assert producer.flush(30) == 0
    stories: dict[str, list[Any]] = {request_id: [] for request_id in wanted}
    unended = set(wanted)
    while unended:
        record = consumer.poll(1.0)
        if record is None:
            continue
        if (error := record.error()) is not None:
            raise confluent_kafka.KafkaException(error)
        attributes = {
            name: raw.decode() for name, raw in dict(record.headers() or ()).items() if isinstance(raw, bytes)
        }
        data = json.loads(record.value() or b"null")
        request_id = data["request"]["id"]
        if data["request"]["source"] == "/librdkafka" and request_id in stories:
            reported = [data["sequence"], attributes["ce_type"], attributes["ce_id"], attributes["ce_correlationid"]]
            stories[request_id].append(reported)
            if data["state"] in LAST:
                unended.discard(request_id)
    consumer.close()
    sys.stdout.write(json.dumps(stories) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
