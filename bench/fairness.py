"""
What a healthy cluster, sender or tenant keeps of the quota when its neighbours are in trouble.

In virtual time, at the emulator with the documented limits on: the same backlog is carried out alone and beside the
trouble, and what was done in the same minutes is compared. The wait of a low priority behind a stream of high ones is
measured in seconds.

    PYTHONPATH=. python bench/fairness.py [--minutes 10] [--json]
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bench import virtual
from tests.support import service, service_harness

from mrs_relay.engine import settings as engine_settings

PER_MINUTE: Final = 60
"""Writes a minute and operation. Source: API reference mrs_02_0006."""

READS_PER_MINUTE: Final = 170
"""What is asked for of 200 documented: calls that hang are calls, too, and have a right to some of the rest."""

HANG_S: Final = 60.0
"""Longer than the client waits for a reply."""

_SETTLE_S: Final = 120.0
"""Seconds that the trouble lasts before the backlog comes: it has filled by then what it can fill."""

_BAD: Final = [f"bad-{number}" for number in range(100)]
_REFUSED: Final = {"status": 500, "body": {"error_code": "12000062", "error_msg": "state"}}
_FULL: Final = {"status": 400, "body": {"error_code": "0177", "error_msg": "full"}}


@dataclass(frozen=True, slots=True)
class Case:
    """
    One trouble.

    Attributes:
        name: short, for programs.
        what: who keeps what beside which trouble, for people.
        begin: orders the trouble and sends what meets it.
        reads: the healthy backlog are calls that read; else submissions.
    """

    name: str
    what: str
    begin: Callable[[service_harness.ServiceHarness], None]
    reads: bool = False


def _ask(here: service_harness.ServiceHarness, name: str, kind: str, data: dict[str, Any], tenant: str = "a") -> None:
    value = json.dumps({"id": name, "source": "/bench", "type": kind, "data": data}).encode()
    here.put(value, topic=f"{tenant}.requests")


def _job(here: service_harness.ServiceHarness, name: str, cluster: str, tenant: str = "a", **more: int) -> None:
    job = {"job_type": "MapReduce", "arguments": ["obs://demo-bucket/a.jar"]}
    _ask(here, name, "mrs.job.submit", {"cluster": cluster, "job": job, **more}, tenant)


def _read(
    here: service_harness.ServiceHarness, name: str, cluster: str, tenant: str = "a", operation: str = "ListHosts"
) -> None:
    _ask(here, name, "mrs.call", {"operation": operation, "path": {"cluster_id": cluster}}, tenant)


def _refuse(answer: dict[str, Any]) -> Callable[[service_harness.ServiceHarness], None]:
    def begin(here: service_harness.ServiceHarness) -> None:
        for cluster in _BAD[:30]:
            here.trouble(action="status", operation="CreateExecuteJob", cluster=cluster, count=None, **answer)
            _job(here, cluster, cluster)

    return begin


def _fail_reads(here: service_harness.ServiceHarness) -> None:
    here.trouble(action="status", operation="ListHosts", cluster=_BAD[0], status=500, count=None)
    _read(here, "fails", _BAD[0])


def _hang_reads(clusters: int) -> Callable[[service_harness.ServiceHarness], None]:
    def begin(here: service_harness.ServiceHarness) -> None:
        for cluster in _BAD[:clusters]:
            here.trouble(action="latency", operation="ListHosts", cluster=cluster, seconds=HANG_S, count=None)
        for number in range(100):
            _read(here, f"hangs-{number}", _BAD[number % clusters])

    return begin


def _hang_submissions(here: service_harness.ServiceHarness) -> None:
    here.trouble(action="latency", operation="CreateExecuteJob", cluster=_BAD[0], seconds=HANG_S, count=None)
    for number in range(200):
        _job(here, f"hangs-{number}", _BAD[0])


CASES: Final = (
    Case("refusing", "a cluster's submissions, beside 30 clusters whose state forbids jobs", _refuse(_REFUSED)),
    Case("full", "a cluster's submissions, beside 30 clusters full of other people's jobs", _refuse(_FULL)),
    Case("failing", "submissions, beside a read that fails for ever", _fail_reads),
    Case("hanging", "submissions, beside 100 reads that hang", _hang_reads(1)),
    Case("hanging_one", "a tenant's reads, beside 100 of another that hang on a cluster", _hang_reads(1), reads=True),
    Case("hanging_many", "a tenant's reads, beside 100 of another, each on its cluster", _hang_reads(100), reads=True),
    Case("hanging_jobs", "a cluster's submissions, beside one where they hang", _hang_submissions),
)


async def _done(begin: Callable[[service_harness.ServiceHarness], None] | None, minutes: int, *, reads: bool) -> int:
    """Count what the healthy tenant gets done in so many minutes."""
    topics = {name: {"requests": f"{name}.requests", "events": f"{name}.events"} for name in "ab"}
    chosen = service_harness.settings(tenants=topics)
    clusters = [{"cluster_id": one, "name": one, "slots": 0} for one in (service.CLUSTER, *_BAD)]
    async with service_harness.start(chosen, emulated={"clusters": clusters}) as here:
        if begin is not None:
            begin(here)
        await asyncio.sleep(_SETTLE_S)
        for number in range(minutes * READS_PER_MINUTE if reads else (minutes + 5) * PER_MINUTE):
            (_read if reads else _job)(here, f"b-{number}", service.CLUSTER, "b")
        await asyncio.sleep(minutes * 60)
        published = [event for event in here.events("b.events") if event.state in {"submitted", "succeeded"}]
        return len({event.request_id for event in published})


async def _longest_wait_s(minutes: int) -> float:
    """Return how long one request of priority 0 waits behind a stream of priority 9 that uses up the quota."""
    async with service_harness.start(emulated={"clusters": [{"slots": 0}]}) as here:
        topic = here.chosen.kafka.topics.requests.removesuffix(".requests")
        for number in range(20):
            _job(here, f"first-{number}", service.CLUSTER, topic, priority=9)
        await asyncio.sleep(1)
        _job(here, "low", service.CLUSTER, topic, priority=0)
        begin_s = asyncio.get_running_loop().time()
        for number in range(minutes * PER_MINUTE):
            _job(here, f"high-{number}", service.CLUSTER, topic, priority=9)
            await asyncio.sleep(1)
            if "submitted" in here.states("low"):
                break
        return asyncio.get_running_loop().time() - begin_s


def measure(minutes: int) -> dict[str, object]:
    """Measure all cases."""
    alone = {reads: virtual.run(_done(None, minutes, reads=reads)) for reads in (False, True)}
    found = []
    for case in CASES:
        kept = virtual.run(_done(case.begin, minutes, reads=case.reads))
        part = round(kept / alone[case.reads], 4)
        found.append({"name": case.name, "what": case.what, "kept": kept, "part": part})
        print(f"  {case.what}: {kept} of {alone[case.reads]}, {part:.1%}", file=sys.stderr, flush=True)
    steps_s = 9 * engine_settings.EngineSettings().priority_aging_s
    waited_s = virtual.run(_longest_wait_s(round(steps_s / 60) + 10))
    print(f"  priority 0 behind a stream of 9: {waited_s:.0f} s, nine steps are {steps_s:.0f} s", file=sys.stderr)
    return {"minutes": minutes, "measured": found, "waited_s": round(waited_s), "steps_s": round(steps_s)}


def main() -> None:
    """Read the command line, count, print."""
    virtual.main(measure, __doc__ or "", log_level="CRITICAL")


if __name__ == "__main__":
    main()
