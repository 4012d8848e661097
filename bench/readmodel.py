"""
The read model of `mrs-relay web`: events a second from the topics into the database, and the slowest first page.

Events lie on a broker in memory, four for each request, between those of 10,000 others that are under way, and are read
from nothing as after a start without a database. Pages are asked of a database with many more requests, by each filter
alone and by some together; and pages of the dashboard of one with 100,000.

    PYTHONPATH=. python bench/readmodel.py [--events 200000] [--requests 1000000] [--database postgresql://…] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from typing import Any, Final

from tests.support import web_role

from mrs_relay.common import clock, logs, tasks
from mrs_relay.kafka import records
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.memory import memory_broker, memory_topic_io
from mrs_relay.messages import events
from mrs_relay.read_model import changes, database, projector, queries, record_reader, settings, tables, text_index

NOW_MS: Final = 1_795_420_800_000
STORY: Final[tuple[events.State, ...]] = ("accepted", "submitted", "running", "succeeded")
PARTITIONS: Final = 4
UNDER_WAY: Final = 10_000
AT_ONCE: Final = 20_000
TRIES: Final = 9
DASHBOARD_REQUESTS: Final = 100_000
PAGES: Final = (
    "/",
    "/requests",
    "/requests?state=failed",
    "/requests?cluster=c-7&state=unknown",
    "/requests?text=needle",
)
SELECTIONS: Final = {
    "none": queries.Filter(),
    "state, many": queries.Filter(state="succeeded"),
    "state, few": queries.Filter(state="unknown"),
    "tenant": queries.Filter(tenant="t1"),
    "type": queries.Filter(kind="sql"),
    "cluster": queries.Filter(cluster="c-7"),
    "reason": queries.Filter(reason_class="job_failed"),
    "label": queries.Filter(label="team=t3"),
    "time": queries.Filter(since_ms=NOW_MS + 5_000, until_ms=NOW_MS + 9_000),
    "text, many": queries.Filter(text="r-1"),
    "text, some": queries.Filter(text="r-4321"),
    "text, the oldest": queries.Filter(text="needle"),
    "text, none": queries.Filter(text="nowhere"),
    "cluster and state": queries.Filter(cluster="c-7", state="unknown"),
    "state and text": queries.Filter(state="succeeded", text="nowhere"),
    "label and text": queries.Filter(label="team=t1", text="r-4321"),
}


def event(number: int, sequence: int) -> tuple[bytes, bytes, events.Headers]:
    """Return an event of a request; those of fifty requests were committed together."""
    body = events.EventBody(
        request=events.BodyRequest(id=f"r-{number}", source="/bench"),
        state=STORY[sequence - 1],
        sequence=sequence,
        attempt=1,
        cluster=f"c-{number % 30}",
        labels={"team": f"t{number % 10}"},
        mrs=events.BodyMrs(job_id=f"j-{number}", job_name=f"sql-{number}", job_state="RUNNING")
        if sequence > 1
        else None,
    )

    made = events.Event(
        subject="sql",
        key=b"k",
        time_ms=NOW_MS + number // 50 * 100 + sequence * 10,
        data=body,
        event_id=f"{number}-{sequence}",
        correlation_id=f"r-{number}",
    )

    return events.write(made, "/mrs-relay")


async def rebuild(count: int, under_way: int, chosen: settings.ReadModelSettings) -> dict[str, float]:
    """
    Read events into an empty database.

    Args:
        count: how many events.
        under_way: requests whose events lie between each other's.
        chosen: of the read model.
    """
    kafka = kafka_settings.KafkaSettings()
    broker = memory_broker.MemoryBroker(kafka, latency_s=0)
    broker.create_topics(PARTITIONS)
    for first in range(0, count // len(STORY), under_way):
        numbers = range(first, min(first + under_way, count // len(STORY)))
        for sequence in range(1, len(STORY) + 1):
            for partition in range(PARTITIONS):
                log = broker.log(records.Position(kafka.topics.events, partition))
                some = [number for number in numbers if number % PARTITIONS == partition]
                log.append([records.Outgoing(kafka.topics.events, *event(one, sequence)) for one in some], NOW_MS)

    topics = projector.Topics(
        frozenset({kafka.topics.events}), frozenset({kafka.topics.dead_letters}), {"/mrs-relay": ""}, {}
    )
    failed: list[BaseException] = []
    async with database.opened(chosen) as opened:
        client = memory_topic_io.MemoryTopicClient(broker)
        reading = projector.Projector(client, topics, opened, chosen, clock.SystemClock(), "bench")
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        async with tasks.TaskSupervisor(lambda _name, error: failed.append(error)) as supervisor:
            supervisor.start(reading.run(), name="read model")
            while reading.progress.written < count:
                await changes.within(reading.changes.next, 1.0)
                if failed:
                    raise failed[0]
        took_s, took_cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    return {"events_per_s": round(count / took_s), "events_per_cpu_s": round(count / took_cpu_s)}


def row(number: int, chance: random.Random) -> dict[str, Any]:
    """Return a request as the projection leaves it."""
    (state,) = chance.choices(["succeeded", "failed", "running", "unknown"], [90, 8, 1.9, 0.1])
    return {
        "key": record_reader.request_key("", "/bench", f"r-{number}"),
        "tenant": f"t{number % 5}",
        "source": "/bench",
        "id": f"r-{number}",
        "kind": ("sql", "job")[number % 2],
        "state": state,
        "ended": state != "running",
        "sequence": 4,
        "attempt": 1,
        "started_ms": NOW_MS + number,
        "updated_ms": NOW_MS + number + 5,
        "cluster": f"c-{number % 30}",
        "labels": json.dumps({"team": f"t{number % 10}"}),
        "reason_class": "job_failed" if state == "failed" else None,
        "reason_code": None,
        "reason_message": None,
        "job_id": f"j-{number}",
        "job_name": f"sql-{number}",
        "app_id": None,
        "progress": 100.0,
        "tracking_url": None,
        "words": f"r-{number}\n/bench\nc-{number % 30}\nsql-{number}\nj-{number}" if number else "needle",
        "kafka_key": b"k",
        "log": 1,
        "offset": number,
    }


async def fill(opened: database.Database, count: int) -> None:
    """Write requests as the projection leaves them."""
    chance = random.Random(1)  # noqa: S311 - the same rows in each run
    for first in range(0, count, AT_ONCE):
        rows = [row(number, chance) for number in range(first, min(count, first + AT_ONCE))]
        labels = [
            {"label": f"team=t{one['offset'] % 10}", "started_ms": one["started_ms"], "key": one["key"]} for one in rows
        ]
        async with opened.transaction() as connection:
            await connection.execute(tables.REQUESTS.insert(), rows)
            await connection.execute(tables.LABELS.insert(), labels)
            await text_index.write(connection, rows)


async def pages(count: int, chosen: settings.ReadModelSettings) -> dict[str, float]:
    """Return the milliseconds of the first page of each selection among so many requests: the median of some tries."""
    async with database.opened(chosen) as opened:
        await fill(opened, count)
        return {name: await first_page_ms(opened, one) for name, one in SELECTIONS.items()}


async def dashboard(count: int) -> dict[str, float]:
    """Return the milliseconds of pages of the dashboard among so many requests: the slowest of some tries."""
    with tempfile.TemporaryDirectory(prefix="mrs-relay-bench-") as folder:
        chosen = web_role.chosen(f"sqlite:///{folder}/web.db")
        async with database.opened(chosen.read_model) as opened:
            await fill(opened, count)
        async with web_role.role(web_role.Stage(), chosen) as client:
            return {path: await _slowest_ms(client, path) for path in PAGES}


async def _slowest_ms(client: web_role.Client, path: str) -> float:
    took_ms = []
    for _ in range(TRIES):
        started_s = time.perf_counter()
        async with client.session.get(client.url + path) as response:
            await response.read()
            response.raise_for_status()
        took_ms.append((time.perf_counter() - started_s) * 1000)
    return round(max(took_ms), 1)


async def first_page_ms(opened: database.Database, chosen: queries.Filter) -> float:
    """Return the milliseconds of the first page, the median of some tries."""
    took_ms = []
    for _ in range(TRIES):
        started_s = time.perf_counter()
        await queries.requests(opened, chosen, None, 50)
        took_ms.append((time.perf_counter() - started_s) * 1000)
    return round(statistics.median(took_ms), 1)


async def measure(event_count: int, request_count: int, address: str | None) -> dict[str, Any]:
    """Return all figures."""
    found: dict[str, Any] = {"events": event_count, "requests": request_count}
    chosen = settings.ReadModelSettings.model_validate({"database": address})
    if event_count:
        found |= await rebuild(event_count, UNDER_WAY, chosen)
    if request_count:
        found["first_page_ms"] = await pages(request_count, chosen)
    found["dashboard_ms"] = await dashboard(DASHBOARD_REQUESTS)
    return found


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--database", help="an empty one; SQLite in a temporary file without it")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    logs.setup(level="ERROR")
    figures = asyncio.run(measure(given.events, given.requests, given.database))
    print(json.dumps(figures) if given.json else figures)


if __name__ == "__main__":
    main()
