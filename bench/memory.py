"""
Memory per tracked job: what the relay keeps for each job that runs on MRS, and for each request that has ended.

Jobs go through a whole life up to RUNNING, are written as ledger records, read back as after a restart, and put where
the relay keeps them: the partition's dict, the scheduler's slots, the tracker's watches with what was seen last.
Requests that have ended are indexed, as after their last commit or a restore; their records stay in the ledger.

    PYTHONPATH=. python bench/memory.py [--count 100000] [--ended 1000000]    a table
    PYTHONPATH=. python bench/memory.py --json                                one line of JSON
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import tracemalloc
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from bench import peak_memory

from mrs_relay.common import clock
from mrs_relay.engine import resting_jobs
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.decide import transitions
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import decisions, facts, job_records, jobs
from mrs_relay.engine.scheduling import scheduler
from mrs_relay.engine.trackers import job_tracker
from mrs_relay.engine.work import observations
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import cold_records, records
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.models import jobs as job_models

TARGET_BYTES = 1000
ENDED_TARGET_BYTES = 64
WEEK_MS = 7 * 24 * 3_600_000
CLUSTERS = 20
AT_ONCE = 1000
START_MS = 1_795_420_800_000
RULES = decisions.DecisionConfig()
RESULT_TYPES = engine_settings.EngineSettings().result_job_types


@dataclass(eq=False)
class Kept:
    """All that stays in memory, by the part that keeps it."""

    by_key: resting_jobs.RestingJobs = field(default_factory=resting_jobs.RestingJobs)
    scheduler: scheduler.SubmissionScheduler | None = None
    tracker: job_tracker.JobTracker | None = None

    def report(self, key: jobs.LedgerKey, fact: facts.Fact) -> None:
        """Stand where a partition stands that is reported of news."""


def request(number: int) -> records.Record:
    """Return a SparkSubmit request of about 700 bytes with everything that a careful sender fills in."""
    value = {
        "specversion": "1.0",
        "id": f"order-2026-11-24-{number:08d}",
        "source": "/billing/nightly",
        "type": "mrs.job.submit",
        "correlationid": f"run-{number:08d}",
        "data": {
            "cluster": cluster(number),
            "job": {
                "job_type": "SparkSubmit",
                "job_name": "nightly-aggregation",
                "arguments": [
                    *("--class", "com.example.billing.NightlyAggregation", "--master", "yarn-cluster"),
                    *("--conf", "spark.executor.memory=4g", "obs://example-bucket/jars/aggregation-1.4.2.jar"),
                    *("--date", "2026-11-24", "--output", f"obs://example-bucket/out/2026-11-24/{number:08d}"),
                ],
                "properties": {"fs.obs.endpoint": "obs.example.com"},
            },
            "labels": {"team": "billing", "run": f"nightly-{number:08d}"},
        },
    }

    chance = _chance(number)
    trace = f"00-{chance[:32]}-{chance[16:32]}-01".encode()
    raw = json.dumps(value).encode()
    return records.Record("mrs.requests", 0, number, START_MS, cluster(number).encode(), raw, (("traceparent", trace),))


def _chance(number: int) -> str:
    """Return 32 hexadecimal digits that look like chance, as ids do: they cannot be compressed."""
    return hashlib.sha256(b"%d" % number).hexdigest()[:32]


def cluster(number: int) -> str:
    """Return the id of one of the clusters."""
    return f"6b2f1c34-7f0e-4a52-9c11-{number % CLUSTERS:012x}"


def detail(number: int) -> job_models.JobDetail:
    """Return what MRS's list says of the job."""
    return job_models.JobDetail(
        job_id=str(uuid.UUID(_chance(number)[:20] + f"{number:012x}")),
        job_state="RUNNING",
        job_progress=45.0,
        app_id=f"application_1795420800000_{number:06d}",
        tracking_url=f"https://node-master1.example.com:8088/proxy/application_1795420800000_{number:06d}/",
        submitted_time=START_MS + number,
        started_time=START_MS + number + 7000,
    )


def ledger_records(number: int) -> tuple[bytes, list[bytes]]:
    """Return the key and values of what the ledger has of a job that runs: a record for each commit that changed it."""
    meaning = reader.read(request(number), RESULT_TYPES, 500_000)
    assert isinstance(meaning, tuple)

    job: jobs.Job | None = None
    seen = observations.of_job(detail(number))
    committed = ((meaning[1], facts.Admitted()), (facts.SubmissionAccepted(seen.job_id),), (facts.JobObserved(seen),))
    values = []

    for batch in committed:
        for fact in batch:
            decision = transitions.decide(job, fact, START_MS + number, RULES)
            assert decision is not None
            job = decision.job
        assert job is not None
        values.append(job_records.encode(job))

    assert job is not None
    assert job.state is jobs.State.RUNNING
    return meaning[0], values


def ledger_record(number: int) -> tuple[bytes, bytes]:
    """Return the key and value of the newest ledger record of a job that runs."""
    key, values = ledger_records(number)
    return key, values[-1]


def keep_jobs(kept: Kept, count: int) -> None:
    """Keep the partition's jobs, as some minutes after reading its ledger: nothing has happened to them since."""
    for number in range(count):
        key, value = ledger_record(number)
        kept.by_key[jobs.LedgerKey(key)] = job_records.decode(value)
        if number % AT_ONCE == 0:
            kept.by_key.rest(AT_ONCE)
    for _ in range(2):
        kept.by_key.rest(count)


def keep_slots(kept: Kept, _count: int) -> None:
    """Keep the scheduler's slots of restored jobs."""
    settings = engine_settings.EngineSettings()
    kept.scheduler = scheduler.SubmissionScheduler(settings, clock.SystemClock(), lambda _statement: 0.0)
    for key, job in kept.by_key.items():
        kept.scheduler.occupy(key, job, kept)


def keep_watches(kept: Kept, _count: int) -> None:
    """Keep the tracker's watches, as they are after a first poll."""
    no_client = cast("clients.Client", None)  # no poll comes: the interval is longer than this script
    settings = engine_settings.EngineSettings(poll_interval_s=3600.0)
    kept.tracker = job_tracker.JobTracker(no_client, settings, clock.SystemClock())
    for key, job in kept.by_key.items():
        kept.tracker.follow(job, key, kept)
    for followed in kept.tracker._clusters.values():  # noqa: SLF001 - what a poll does with its pages
        page = [observations.of_job(detail(int(job_id[-12:], base=16))) for job_id in followed.jobs]
        kept.tracker._report_listed(dict(followed.jobs), page)  # noqa: SLF001


STEPS: dict[str, Callable[[Kept, int], None]] = {"jobs": keep_jobs, "slots": keep_slots, "watches": keep_watches}


async def traced(count: int) -> dict[str, float]:
    """Return the bytes for each job by the part that keeps them, as Python's allocator counts them."""
    kept = Kept()
    figures = {}
    tracemalloc.start()
    for name, keep in STEPS.items():
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        keep(kept, count)
        gc.collect()
        figures[name] = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    assert kept.tracker is not None
    assert kept.tracker.followed == len(kept.by_key) == count
    await kept.tracker.close()
    return figures


async def resident(count: int) -> float:
    """Return the bytes for each job by which the process grew at most, garbage of the way there included."""
    kept = Kept()
    keep_jobs(Kept(), min(count, 1000))  # what is loaded and built once
    before = peak_memory.peak_bytes()
    for keep in STEPS.values():
        keep(kept, count)
    grown = peak_memory.peak_bytes() - before
    assert kept.tracker is not None
    await kept.tracker.close()
    return grown / count


def remembered(count: int) -> float:
    """Return the bytes for each request that has ended within the last week, as Python's allocator counts them."""
    place = records.Position("mrs.requests", 0)
    no_broker = cast("brokers.Broker", None)  # nothing is read back
    rule = cold_records.ColdRule(lambda values: [None] * len(values), WEEK_MS // 512)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    cold = cold_records.ColdRecords(place, place, no_broker, rule, 60.0)
    for number in range(count):
        due_ms = START_MS + number * WEEK_MS // count
        cold.put(b"/billing/nightly order-2026-11-24-%08d" % number, 7 * number, due_ms)
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(cold) == count
    return size / count


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="jobs under way")
    parser.add_argument("--ended", type=int, default=1_000_000, help="requests that have ended")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    rss = asyncio.run(resident(given.count))
    parts = asyncio.run(traced(given.count))
    total, per_ended = sum(parts.values()), remembered(given.ended)

    if given.json:
        sizes = {**parts, "bytes_per_job": total, "rss_per_job": rss, "bytes_per_ended": per_ended}
        figures = {name: round(size) for name, size in sizes.items()}
        counts = {"count": given.count, "ended": given.ended}
        print(json.dumps({"bench": "memory", **counts, "target": TARGET_BYTES, **figures}))
        return

    shown = ", ".join(f"{name} {size:.0f}" for name, size in parts.items())
    print(f"{given.count} jobs: {total:.0f} bytes each ({shown}; process {rss:.0f}); target {TARGET_BYTES}")
    print(f"{given.ended} requests that have ended: {per_ended:.0f} bytes each; target {ENDED_TARGET_BYTES}")


if __name__ == "__main__":
    main()
