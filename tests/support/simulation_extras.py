"""
What only a part of the simulated worlds has: tenants, a second deployment, dead clusters, hanging replies, floods.

The extras are drawn from a generator of their own, so a seed without them plays as if there were none to draw.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.support import cause_history, damage, malformed, service, simulation_logs, simulation_objects

from mrs_relay.messages import codec

DEAD: Final = ("dead-1", "dead-2", "dead-3")
"""Clusters that answer "not now" to everything that is to run there."""

LAKE: Final = "lake"
"""The second connection, to a project of its own."""

LAKE_HOST: Final = f"{LAKE}.test"
_SUBMISSIONS: Final = ("CreateExecuteJob", "ExecuteSql")


@dataclass(frozen=True, slots=True)
class Extras:
    """
    What a world has beside the common troubles.

    Attributes:
        tenants: how many; 0: the one without a name.
        lake: the last tenant has a connection of its own.
        deployments: how many share the project of MRS, with the same topics and ids.
        dead: how many clusters answer "not now".
        dead_for_s: how long; None: for ever.
        hanging: chance that MRS does what it is asked and answers only long after the call's timeout.
        list_fails_for_s: how long the job list fails; 0: it does not.
        reads_fail: the reads of single jobs fail as long as the list does.
        lost_statements: every reply to ExecuteSql is lost until the world heals.
        flood: requests that come at once.
        bad: malformed messages that come at once.
        respelled: requests are repeated in another spelling of the same JSON.
        calls: part of the requests are calls of operations.
        odd_cancels: cancels come before their request, on other partitions, and twice.
        holds: controls come and go.
        late_repeats: requests that have ended are repeated and cancelled now and then.
        rows_away_s: part of the requests want rows, and for so long OBS does not give them out; None: neither.
        formats: every second replica writes the former format of the ledger.
        chunks: some of the rows are wanted in chunks.
        arrow: half of the rows are wanted as Arrow.
        logs: part of the requests are for jobs that fail, and their logs say why, as far as OBS gives them out.
    """

    tenants: int = 0
    lake: bool = False
    deployments: int = 1
    dead: int = 0
    dead_for_s: float | None = 0.0
    hanging: float = 0.0
    list_fails_for_s: float = 0.0
    reads_fail: bool = False
    lost_statements: bool = False
    flood: int = 0
    bad: int = 0
    respelled: bool = False
    calls: bool = False
    odd_cancels: bool = False
    holds: bool = False
    late_repeats: bool = False
    formats: bool = False
    rows_away_s: float | None = None
    chunks: bool = False
    arrow: bool = False
    logs: bool = False

    @property
    def names(self) -> list[str]:
        """Those that this world has, for the count of troubles."""
        return [f"with {name}" for name in self.__slots__ if getattr(self, name) != getattr(NONE, name)]


NONE: Final = Extras()


def draw(seed: int) -> Extras:
    """Return the extras of a seed: two of three seeds have none."""
    chance = random.Random(f"extras {seed}")
    if chance.random() > 1 / 3:
        return NONE

    def often(share: float = 0.25) -> bool:
        return chance.random() < share

    tenants = chance.choice((2, 3)) if often() else 0
    dead = chance.randint(1, len(DEAD)) if often() else 0
    list_fails_for_s = chance.choice((30.0, 400.0)) if often() else 0.0
    drawn = Extras(
        tenants=tenants,
        lake=bool(tenants) and often(0.4),
        deployments=2 if often(0.15) else 1,
        dead=dead,
        dead_for_s=chance.choice((None, 20.0, 90.0)) if dead else 0.0,
        hanging=chance.choice((0.05, 0.3)) if often() else 0.0,
        list_fails_for_s=list_fails_for_s,
        reads_fail=bool(list_fails_for_s) and often(0.5),
        lost_statements=often(0.15),
        flood=chance.choice((10, 40)) if often(0.2) else 0,
        bad=chance.choice((20, 200)) if often() else 0,
        respelled=often(),
        calls=often(),
        odd_cancels=often(),
        holds=often(),
        late_repeats=often(0.5),
        formats=often(0.5),
        rows_away_s=chance.choice((0.0, 100.0, 400.0)) if often(0.4) else None,
    )
    rows = drawn.rows_away_s is not None
    return replace(drawn, chunks=rows and often(0.8), logs=often(0.5), arrow=rows and often(0.7))


def groups(extras: Extras, chance: random.Random, mrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the tenants, of their second connection, and of rows; `mrs` holds the keys."""
    rules = {"path": simulation_objects.PATH, "folder_life_s": simulation_objects.FOLDER_LIFE_S}
    reads = rules if extras.rows_away_s is not None else {}
    found: dict[str, Any] = {"results": reads, "obs": {"read_timeout_s": simulation_objects.READ_TIMEOUT_S}}

    if extras.logs:
        found["causes"] = {
            "path": simulation_logs.PATH,
            "within_s": chance.choice(simulation_logs.WITHIN_S),
            "files": chance.choice((("{cluster}/{job}/stderr",), ("{cluster}/{job}/stdout", "{cluster}/{job}/stderr"))),
            "detail": chance.choice(("none", "redacted", "full")),
        }

    if not extras.tenants:
        return found

    tenants: dict[str, dict[str, Any]] = {}
    for number in range(extras.tenants):
        name = "abc"[number]
        tenants[name] = {"requests": f"{name}.requests", "events": f"{name}.events"}
        if extras.chunks:
            tenants[name]["results_topic"] = f"{name}.results"

        if chance.random() < 0.4:
            tenants[name]["limits"] = {
                "running": chance.choice((None, 3, 9)),
                "per_minute": chance.choice((None, 30)),
                "queued": chance.choice((None, 15)),
            }

        if chance.random() < 0.2:
            tenants[name]["allow"] = {"types": chance.choice((["mrs.job.*"], ["mrs.sql.*", "mrs.call"]))}
        if chance.random() < 0.2:
            tenants[name]["defaults"] = {"priority": 7, "queue_deadline_s": 900.0}

    if not extras.lake:
        return {**found, "tenants": tenants}
    tenants["abc"[extras.tenants - 1]]["connection"] = LAKE
    return {**found, "tenants": tenants, "connections": {LAKE: {**mrs, "endpoint": f"http://{LAKE_HOST}"}}}


def orders(extras: Extras) -> dict[str, list[dict[str, Any]]]:
    """Return orders for the emulator: dead clusters, a job list that fails, statements whose replies are lost."""
    forbidden = {"status": 500, "body": {"error_code": "12000062", "error_msg": "The cluster status is abnormal"}}
    found: dict[str, list[dict[str, Any]]] = {}
    if extras.dead:
        places = [(cluster, operation) for cluster in DEAD[: extras.dead] for operation in _SUBMISSIONS]
        found["dead"] = [_always("status", operation, cluster=cluster, **forbidden) for cluster, operation in places]
    if extras.list_fails_for_s:
        reads = ("ShowJobExeListNew", *(("ShowSingleJobExe",) if extras.reads_fail else ()))
        found["list"] = [_always("status", operation, status=503) for operation in reads]
    if extras.lost_statements:
        found["statements"] = [_always("drop_after", "ExecuteSql")]
    return found


def _always(action: str, operation: str, **more: Any) -> dict[str, Any]:
    return {"action": action, "operation": operation, "count": None, **more}


def for_dead(chance: random.Random, extras: Extras, request_id: str, place: str) -> bytes:
    """Return a request for one of the dead clusters; it gives up some time after it came."""
    cluster = chance.choice(DEAD[: extras.dead])
    deadline_s = chance.uniform(20, 300)
    if chance.random() < 0.3:
        return service.sql(
            request_id, "presto", f"select '{place}{request_id}'", cluster=cluster, queue_deadline_s=deadline_s
        )
    return service.job(request_id, cluster=cluster, queue_deadline_s=deadline_s, priority=chance.randint(0, 9))


def select(chance: random.Random, extras: Extras, request_id: str, place: str) -> bytes:
    """Return a statement whose row is wanted in the event, or its rows in chunks; Spark and Hive write to a folder."""
    engine = ("presto", "spark", "hive")[zlib.crc32(request_id.encode()) % 3]
    wanted = {"format": "arrow"} if extras.arrow and chance.random() < 0.5 else {}
    if not extras.chunks or chance.random() < 0.3:
        return service.sql(request_id, engine, f"select '{place}{request_id}' as one", result=wanted)
    values = (f"{place}{request_id}-{number:02}-{'x' * 100}" for number in range(chance.choice((1, 3, 30))))
    statement = " union all ".join(f"select '{value}' as one" for value in values)
    return service.sql(request_id, engine, statement, result={"deliver": "chunks", **wanted})


def failing(chance: random.Random, request_id: str, place: str, **more: str) -> bytes:
    """Return a job that fails for a cause, perhaps only at first, and that is perhaps tried again after some cause."""
    properties = {"emulator.cause": chance.choice((*cause_history.NAMES, *["preempted"] * 4)), **more}
    if chance.random() < 0.5:
        properties["emulator.cause_times"] = chance.choice(("1", "2"))
    job = {"job_type": "SparkSubmit", "job_name": "etl", "arguments": [f"{place}{request_id}"]}
    on = chance.choice((["preempted"], ["preempted"], ["preempted", "out_of_memory"], ["job_failed"], None))
    attempts = {"attempts": chance.choice((2, 3)), "backoff_s": 2}
    retry: dict[str, Any] = {} if on is None else {"retry": {**attempts, "on": on}}
    return service.job(request_id, job={**job, "properties": properties}, **retry)


def call(chance: random.Random, request_id: str, key: str) -> bytes:
    """Return a call that reads, or one that sets the tag `key`, which shows whether it was carried out."""
    path = {"cluster_id": service.CLUSTER}
    kind = chance.random()
    if kind < 0.3:
        return service.call(request_id, "ShowClusterDetails", path)
    if kind < 0.4:
        return service.call(request_id, "ListClusters", {})
    if kind < 0.5:
        return service.call(request_id, "DeleteClusterTag", {**path, "key": f"no-{key}"})
    return service.call(request_id, "CreateClusterTag", path, {"tag": {"key": key, "value": "x"}})


def respelled(chance: random.Random, body: bytes) -> bytes:
    """Return the same request as another JSON writer has it: other numbers, order and white space, null for absent."""
    members = codec.decode(body)
    raw = damage.Raw()
    damage.respell(chance, members, raw)
    data = members["data"]
    for name in ("not_before", "queue_deadline_s"):
        if chance.random() < 0.5:
            data.setdefault(name, None)
    pairs = list(members.items())
    chance.shuffle(pairs)
    return raw.spell(malformed.as_json(dict(pairs), indent=chance.choice((None, 1))))
