"""
Real messages for `schemas/examples/`: requests as senders write them, events as the service publishes them.

    python -m tests.support.examples FOLDER

plays scenes with the whole service in virtual time, which gives the same bytes each time, and writes one event of each
type, in structured mode. `make schemas` calls it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.support import clocks, objects, scenarios, service, service_harness

from mrs_relay.messages import event_reader, examples, registry

FOLDER: Final = Path(__file__).resolve().parents[2] / "schemas" / "examples"

Scene = Callable[[service_harness.ServiceHarness], Awaitable[None]]
_LATER: Final = {"not_before": "2100-01-01T00:00:00Z"}
_SLOW: Final[Mapping[str, Any]] = {"pace": {"run_s": 120, "create_s": 300, "resize_s": 120, "delete_s": 60}, "seed": 7}
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_CLUSTER: Final = service.CLUSTER


def requests() -> dict[str, dict[str, Any]]:
    """Return one request of each type, by its path below the folder."""
    return {f"requests/{kind}.json": examples.message(kind) for kind in sorted(registry.REQUESTS)}


def play() -> dict[str, dict[str, Any]]:
    """Play all scenes; one event of each type that they brought about, by its path below the folder."""
    found: dict[str, dict[str, Any]] = {}
    for scene in (_jobs, _statements, _late_rows, _clusters, _calls):
        with asyncio.Runner(loop_factory=clocks.virtual_loop) as runner:
            for event in runner.run(_played(scene)):
                found.setdefault(event["type"], event)
    return {f"events/{kind}.json": found[kind] for kind in registry.EVENTS if kind in found}


async def _played(scene: Scene) -> list[dict[str, Any]]:
    chosen = service_harness.settings(
        engine={"cluster_settle_s": 120, "vanish_after_s": 60}, results={"path": "obs://lake/results"}
    )
    async with service_harness.start(chosen, replicas=0, emulated=_SLOW) as here:
        here.objects = objects.ObjectDoor(here.mrs)
        await here.start_replica()
        await scene(here)
        topic = here.chosen.kafka.topics.events
        read = [event_reader.read(record.value or b"", record.headers) for record in here.broker.committed(topic)]
    return [json.loads(event.as_json()) for event in read]


async def _jobs(here: service_harness.ServiceHarness) -> None:
    _put(here, "nightly-1", "mrs.job.submit", {"cluster": _CLUSTER, "job": _job("nightly"), "labels": {"team": "bi"}})
    retry = {"attempts": 2, "backoff_s": 5}
    _put(here, "nightly-2", "mrs.job.submit", {"cluster": _CLUSTER, "job": _job("will-fail"), "retry": retry})
    _put(here, "nightly-3", "mrs.job.submit", {"cluster": _CLUSTER, "job": {"job_type": "Cobol"}})
    _put(here, "nightly-4", "mrs.job.submit", {"cluster": _CLUSTER, "job": _job("later"), **_LATER})
    await asyncio.sleep(1)
    _cancel(here, "nightly-4")
    await here.until_ended(["nightly-1", "nightly-2", "nightly-3", "nightly-4"], 3600)
    here.trouble(action="lost_job", operation="CreateExecuteJob")
    _put(here, "nightly-5", "mrs.job.submit", {"cluster": _CLUSTER, "job": _job("nightly")})
    await here.until_ended(["nightly-5"], 36_000)


async def _statements(here: service_harness.ServiceHarness) -> None:
    spark = {"cluster": _CLUSTER, "engine": "spark", "statement": "select 1 as one"}
    _put(here, "report-1", "mrs.sql.submit", {**spark, "labels": {"team": "bi"}})
    await here.until_ended(["report-1"], 3600)
    _put(here, "report-2", "mrs.sql.submit", {**spark, "statement": "select * from nowhere", "retry": {"attempts": 2}})
    _put(here, "report-3", "mrs.sql.submit", {**spark, "engine": "oracle"})
    _put(here, "report-4", "mrs.sql.submit", {**spark, **_LATER})
    await asyncio.sleep(1)
    _cancel(here, "report-4")

    await here.until_ended(["report-2", "report-3", "report-4"], 3600)
    here.trouble(action="stuck_job", operation="CreateExecuteJob", count=1)
    _put(here, "report-5", "mrs.sql.submit", spark)
    await asyncio.sleep(600)
    _cancel(here, "report-5")
    await here.until_ended(["report-5"], 3600)
    here.trouble(action="drop_before", operation="ExecuteSql")
    write = {"cluster": _CLUSTER, "engine": "presto", "statement": "insert into orders values (1)"}
    _put(here, "load-1", "mrs.sql.submit", write)
    await here.until_ended(["load-1"], 3600)


async def _late_rows(here: service_harness.ServiceHarness) -> None:
    assert here.objects is not None
    here.objects.absent = 10**9
    select = {"cluster": _CLUSTER, "engine": "presto", "statement": "select 1 as one", "result": {}}
    _put(here, "orders-1", "mrs.sql.submit", select)
    await here.until_ended(["orders-1"], 3600)
    here.objects.absent = 0
    await asyncio.sleep(600)


async def _clusters(here: service_harness.ServiceHarness) -> None:
    _put(here, "cluster-1", "mrs.cluster.create", {"body": scenarios.sample("v2-clusters", "CreateCluster")})
    _put(here, "cluster-2", "mrs.cluster.delete", {"cluster": "a b"})
    _put(here, "cluster-3", "mrs.cluster.delete", {"cluster": _CLUSTER, **_LATER})
    await asyncio.sleep(1)
    _cancel(here, "cluster-3")
    await here.until_ended(["cluster-1", "cluster-2", "cluster-3"], 7200)
    _put(here, "cluster-4", "mrs.cluster.delete", {"cluster": "no-such-cluster"})
    await here.until_ended(["cluster-4"], 7200)

    steps = [{"job_execution": {"job_type": "SparkSubmit", "job_name": name}} for name in ("extract", "will-fail")]
    flow = scenarios.sample("v2-clusters", "RunJobFlow", steps=steps)
    _put(here, "cluster-5", "mrs.cluster.flow", {"body": flow})
    await here.until_ended(["cluster-5"], 7200)
    here.trouble(operation="UpdateClusterScaling", action="drop_after", count=1)
    resize = {"cluster": _CLUSTER, "parameters": {"scale_type": "scale_out", "instances": 2}}
    _put(here, "cluster-6", "mrs.cluster.resize", resize)
    await here.until_ended(["cluster-6"], 7200)


async def _calls(here: service_harness.ServiceHarness) -> None:
    at = {"cluster_id": _CLUSTER}
    _put(here, "call-1", "mrs.call", {"operation": "ListClusterTags", "path": at})
    _put(here, "call-2", "mrs.call", {"operation": "ShowClusterDetails", "path": {"cluster_id": "none"}})
    _put(here, "call-3", "mrs.call", {"operation": "NoSuchOperation"})
    _put(here, "call-4", "mrs.call", {"operation": "ListClusterTags", "path": at, **_LATER})
    await asyncio.sleep(1)
    _cancel(here, "call-4")
    await here.until_ended(["call-1", "call-2", "call-3", "call-4"], 600)
    here.trouble(operation="CreateExecuteJob", action="drop_after", count=1)
    _put(here, "call-5", "mrs.call", {"operation": "CreateExecuteJob", "path": at, "body": scenarios.JOB})
    await here.until_ended(["call-5"], 600)


def _job(name: str) -> dict[str, Any]:
    return {"job_type": "SparkSubmit", "job_name": name, "arguments": ["obs://shop/nightly.py"]}


def _put(here: service_harness.ServiceHarness, request_id: str, kind: str, data: Mapping[str, Any]) -> None:
    message = {"specversion": "1.0", "id": request_id, "source": "/billing", "type": kind, "data": data}
    here.put(json.dumps(message).encode(), key=_CLUSTER.encode())


def _cancel(here: service_harness.ServiceHarness, request_id: str) -> None:
    _put(here, f"stop-{request_id}", "mrs.job.cancel", {"request": {"id": request_id}, "note": "wrong date"})


def write(folder: Path) -> None:
    """Write all examples below `folder`; nothing else may stand there, and what says the same is left alone."""
    made = {**requests(), **play()}
    for path in folder.rglob("*.json"):
        if path.relative_to(folder).as_posix() not in made:
            path.unlink()
    for name, message in made.items():
        path = folder / name
        if path.is_file() and same(json.loads(path.read_text(encoding="utf-8")), message):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(message), encoding="utf-8")


def same(one: Any, other: Any) -> bool:
    """Return whether two messages say the same, at whatever time: SQL takes real time."""
    return bool(_timeless(one) == _timeless(other))


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_timeless(inner) for inner in value]
    return _MOMENT.sub("(moment)", value) if isinstance(value, str) else value


def text(message: Mapping[str, Any]) -> str:
    """Return a message as it stands in its file."""
    return json.dumps(message, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
