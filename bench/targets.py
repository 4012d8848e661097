"""
What is measured, and the target that each figure has to meet: the rows of the table of `bench/run.py`.

A figure without a target is only shown. Targets are ratios or counts wherever they can be: absolute speeds say
how fast the machine was, and are there to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Verdict = Literal["met", "MISSED", "not measured", ""]
Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """
    One line of the table.

    Attributes:
        what: in words.
        value: the figure; None when it could not be measured here.
        at_least: the target of a figure that must be large.
        at_most: the target of a figure that must be small.
        digits: shown behind the point.
        unit: shown behind the figure.
    """

    what: str
    value: float | None
    at_least: float | None = None
    at_most: float | None = None
    digits: int = 0
    unit: str = ""

    @property
    def verdict(self) -> Verdict:
        """Whether the target is met; "" for a figure without one. A missing figure is a failure."""
        if self.at_least is None and self.at_most is None:
            return ""
        if self.value is None:
            return "not measured"
        enough = self.at_least is None or self.value >= self.at_least
        return "met" if enough and (self.at_most is None or self.value <= self.at_most) else "MISSED"

    @property
    def measured(self) -> str:
        """The figure as shown."""
        return "not measured" if self.value is None else f"{self.value:,.{self.digits}f}{self.unit}"

    @property
    def target(self) -> str:
        """The target as shown."""
        if self.at_least is not None:
            return f"≥ {self.at_least:,g}{self.unit}"
        return "" if self.at_most is None else f"≤ {self.at_most:,g}{self.unit}"

    def as_json(self) -> dict[str, Any]:
        """Return the row for programs."""
        return {
            "what": self.what,
            "value": self.value,
            "unit": self.unit.strip(),
            "target": self.target,
            "verdict": self.verdict,
        }


def _relay(found: Figures) -> list[Row]:
    return [
        Row("relay, exactly-once: requests/s to `submitted`", found["relay_per_s"]),
        Row("bare loop, 64 in flight: requests/s", found["bare_loop_per_s"]),
        Row("bare loop on uvloop, as the relay is: requests/s", found["bare_loop_uvloop_per_s"]),
        Row("FastStream around the vendor's SDK, 32 workers: requests/s", found["faststream_per_s"]),
        Row("the same, acknowledged after its work: requests/s", found["faststream_after_per_s"]),
        Row("relay ÷ bare loop", found["ratio"], at_least=0.8, digits=2),
        Row("relay ÷ bare loop on uvloop", found["ratio_to_uvloop"], at_least=0.8, digits=2),
        Row(
            "relay ÷ FastStream with 32 workers, which may lose some",
            found["ratio_to_faststream"],
            at_least=8,
            digits=1,
        ),
        Row("relay ÷ FastStream that loses none", found["ratio_to_faststream_after"], at_least=8, digits=1),
    ]


def _latency(found: Figures) -> list[Row]:
    return [
        Row("message → POST when idle, relay: median", found["relay_p50_ms"], digits=1, unit=" ms"),
        Row("message → POST when idle, relay: p99", found["relay_p99_ms"], digits=1, unit=" ms"),
        Row("message → POST when idle, bare loop: p99", found["bare_p99_ms"], digits=1, unit=" ms"),
        Row("added latency when idle, p99", found["added_p99_ms"], at_most=100, digits=1, unit=" ms"),
    ]


def _three_brokers(found: Figures) -> list[Row]:
    where = "three brokers"
    return [
        Row(f"{where}, relay, exactly-once: requests/s to `submitted`", found["relay_per_s"]),
        Row(f"{where}, bare loop, 64 in flight: requests/s", found["bare_loop_per_s"]),
        Row(f"{where}, relay ÷ bare loop", found["ratio"], digits=2),
        Row(f"{where}, message → POST when idle, relay: median", found["relay_p50_ms"], digits=1, unit=" ms"),
        Row(f"{where}, message → POST when idle, relay: p99", found["relay_p99_ms"], digits=1, unit=" ms"),
        Row(f"{where}, added latency when idle, p99", found["added_p99_ms"], digits=1, unit=" ms"),
    ]


def _replicas(found: Figures) -> list[Row]:
    rows = []
    for one in found["measured"]:
        what = f"{one['replicas']} replica{'s' if one['replicas'] > 1 else ''}"
        rows.append(Row(f"{what}, all on the same {found['cores']} cores: requests/s", one["per_s"]))
        if one["replicas"] > 1:
            rows.append(Row(f"{what} ÷ 1 replica", one["to_one"], digits=2))
    return rows


def _recovery(found: Figures) -> list[Row]:
    return [
        Row(f"recovery of {found['jobs']:,} jobs that run: jobs/s", found["restored_per_s"]),
        Row("bare aiokafka read of the same ledger: jobs/s", found["bare_per_s"]),
        Row("recovery ÷ bare read", found["ratio"], at_least=0.9, digits=2),
        Row("recovery from the newest records alone: jobs/s", found["compacted_restored_per_s"]),
        Row("the same ÷ bare read of these", found["compacted_ratio"], at_least=0.6, digits=2),
    ]


def _following(found: Figures) -> list[Row]:
    where = f"takeover of {found['under_way']:,} jobs under way and {found['ended']:,} remembered requests"
    return [
        Row(f"{where}: all jobs followed", found["followed_s"], digits=2, unit=" s"),
        Row("bare read of the records of these jobs alone", found["alone_s"], digits=2, unit=" s"),
        Row(
            "followed, beyond half as long again as that read",
            found["followed_beyond_s"],
            at_most=2,
            digits=2,
            unit=" s",
        ),
        Row("until messages can be taken", found["whole_s"], digits=2, unit=" s"),
        Row("the same ÷ bare read of the whole ledger", found["whole_ratio"], at_most=1.2, digits=2),
    ]


def _takeover(found: Figures) -> list[Row]:
    where = f"{found['replicas']} replicas, {found['partitions']} partitions"
    held = "restart with `restart_hold_ms`"

    return [
        Row(
            f"{where}: longest wait for `submitted`, nothing restarts", found["handed_over_calm_s"], digits=2, unit=" s"
        ),
        Row("rolling restart: the same, partitions that stay", found["handed_over_stayed_s"], digits=2, unit=" s"),
        Row(
            "the same, beyond what it is while nothing restarts",
            found["handed_over_stopped_s"],
            at_most=0.5,
            digits=2,
            unit=" s",
        ),
        Row("rolling restart: partitions that move", found["handed_over_moved_s"], at_most=2, digits=2, unit=" s"),
        Row(f"{held}: partitions that stay", found["held_stayed_s"], digits=2, unit=" s"),
        Row(f"{held}: those of the replica that restarts", found["held_moved_s"], digits=2, unit=" s"),
        Row("SIGKILL: first act on its partitions, median", found["killed_median_s"], digits=1, unit=" s"),
        Row("SIGKILL: first act on its partitions, last of all", found["killed_s"], at_most=12, digits=1, unit=" s"),
    ]


def _reads(found: Figures) -> list[Row]:
    return [
        Row(
            f"reads per look at {one['jobs']:,} job{'s' if one['jobs'] > 1 else ''} of a cluster, {one['when']}",
            one["most_reads"],
            at_most=one["allowed"],
        )
        for one in found["sweeps"]
    ]


def _quota(found: Figures) -> list[Row]:
    rows = []
    for one in found["measured"]:
        count = f"{one['replicas']} replica{'s' if one['replicas'] > 1 else ''}"
        where = f"{count}, {one['keys']} keys, {one['window']} window, virtual time"
        used = 100 * one["used"]
        rows.append(Row(f"write quota used under backlog: {where}", used, at_least=95, digits=1, unit=" %"))
        rows.append(Row(f"429s under backlog: {where}", one["throttled"], at_most=0))
    return rows


def _fairness(found: Figures) -> list[Row]:
    rows = [
        Row(f"kept of the quota, virtual time: {one['what']}", 100 * one["part"], at_least=95, digits=1, unit=" %")
        for one in found["measured"]
    ]
    # What has come before may take its turn, too: a minute's worth.
    most_s = found["steps_s"] + 60
    return [*rows, Row("longest wait of priority 0 behind a stream of 9", found["waited_s"], at_most=most_s, unit=" s")]


def _messages(found: Figures) -> list[Row]:
    return [
        Row("decoded and validated on one core, slowest form: requests/s", found["decoded_per_s"], at_least=20_000),
        Row("the same and four events encoded: requests/s", found["with_events_per_s"]),
        Row("the same with all decisions in between: requests/s", found["decided_per_s"]),
    ]


def _client(found: Figures) -> list[Row]:
    return [
        Row("client: signed, validated calls ÷ bare aiohttp", found["ratio"], at_least=0.8, digits=2),
        Row("client ÷ vendor's SDK on 32 threads", found["ratio_to_sdk"], at_least=8, digits=1),
    ]


def _client_handles(found: Figures) -> list[Row]:
    what = f"client library, {found['handles']:,} requests under way"
    return [
        Row(f"{what}: memory of the process", found["memory_mb"], at_most=100, unit=" MB"),
        Row(f"{what}: event to awake, median", found["awake_p50_ms"], digits=1, unit=" ms"),
        Row(f"{what}: event to awake, p99", found["awake_p99_ms"], at_most=20, digits=1, unit=" ms"),
        Row("the same with a bare aiokafka consumer: p99", found["bare_p99_ms"], digits=1, unit=" ms"),
    ]


def _results(found: Figures) -> list[Row]:
    what = f"{found['rows']:,} rows in chunks"
    link = f"a link of {found['link_mbit_per_s']:,.0f} Mbit/s"

    return [
        Row(
            f"{what}: rate over obstore alone, OBS on this machine, the chunks dropped",
            found["ratio"],
            at_least=0.8,
            digits=2,
        ),
        Row(f"{what}: obstore alone", found["obstore_mib_per_s"], digits=1, unit=" MiB/s"),
        Row(f"{what}: over {link}", found["link_ratio"], at_least=0.8, digits=2),
        Row(f"{what}: over {link} to Kafka", found["link_kafka_mib_per_s"], digits=1, unit=" MiB/s"),
        Row(f"{what}: to Kafka on the same machine", found["kafka_mib_per_s"], digits=1, unit=" MiB/s"),
        Row(f"{what}: the event loop is blocked", found["longest_ms"], at_most=50, digits=1, unit=" ms"),
        Row(f"{what}: the same, to Kafka", found["kafka_longest_ms"], at_most=50, digits=1, unit=" ms"),
        Row(f"{what}: growth of memory", found["grown_mib"], at_most=64, digits=1, unit=" MiB"),
        Row(f"{what}: the same, to Kafka", found["kafka_grown_mib"], at_most=64, digits=1, unit=" MiB"),
    ]


def _memory(found: Figures) -> list[Row]:
    what = f"memory per tracked job, {found['count']:,} jobs under way"
    ended = f"memory per request that has ended, {found['ended']:,} remembered"
    return [
        Row(what, found["bytes_per_job"], at_most=1000, unit=" bytes"),
        Row(ended, found["bytes_per_ended"], at_most=64, unit=" bytes"),
    ]


def _emulator(found: Figures) -> list[Row]:
    pages = [slowest for when in ("running", "ended") for _, slowest in found[f"pages_ms_{when}"].values()]
    return [
        Row("emulator: submissions/s over HTTP, quotas off", found["submissions_per_s"], at_least=3000),
        Row("emulator: slowest list page, 100,000 jobs", max(pages), at_most=10, digits=1, unit=" ms"),
        Row("emulator: memory, 100,000 jobs", found["memory_mb"], at_most=300, unit=" MB"),
    ]


def _readmodel(found: Figures) -> list[Row]:
    return [
        Row("read model: events/s from the topics into SQLite", found["events_per_s"], at_least=20_000),
        Row("read model: events/s of one core", found["events_per_cpu_s"]),
        Row(
            f"read model: slowest first page of any filter, {found['requests']:,} requests",
            max(found["first_page_ms"].values()),
            at_most=50,
            digits=1,
            unit=" ms",
        ),
        Row(
            "read model: slowest page of the dashboard, 100,000 requests",
            max(found["dashboard_ms"].values()),
            digits=1,
            unit=" ms",
        ),
    ]


def _status(found: Figures) -> list[Row]:
    return [
        Row("mrs.status: share of the relay's core", 100 * found["share"], at_most=3, digits=2, unit=" %"),
        Row("CPU time per request of the relay with mrs.status ÷ without", found["ratio"], digits=3),
    ]


def _growth(found: Figures) -> list[Row]:
    rows = []
    for one in found["remembered"]:
        what = f"{one['count']:,} requests that have ended"
        rows.append(Row(f"{what}: memory", one["mb"], digits=1, unit=" MB"))
        rows.append(Row(f"{what}: CPU time of a takeover", one["restore_s"], digits=1, unit=" s"))

    for name in ("clusters", "tenants"):
        for one in found[name]:
            what = f"CPU time of a request, {one['count']:,} {name if one['count'] > 1 else name[:-1]}"
            rows.append(Row(what, one["request_us"], unit=" µs"))

    for one in found["partitions"]:
        what = f"commit on Kafka, {one['count']} partition{'s' if one['count'] > 1 else ''} of one replica"
        rows.append(Row(f"{what}: mean", one["mean_ms"], digits=1, unit=" ms"))
        rows.append(Row(f"{what}: p99", one["p99_ms"], digits=1, unit=" ms"))

    for one in found["reads"]:
        rows.append(Row(f"reads of MRS a minute, {one['count']:,} jobs under way", one["per_minute"], at_most=1000))
        rows.append(Row(f"seconds between two looks at a cluster, {one['count']:,} jobs", one["look_s"], digits=1))

    return rows + _fleet(found["fleet"])


def _fleet(found: Figures) -> list[Row]:
    where = f"{found['tenants']} tenants, {found['clusters']:,} clusters, {found['jobs']:,} jobs, virtual time"
    return [
        Row(f"{where}: write quota used", 100 * found["used"], at_least=95, digits=1, unit=" %"),
        Row(f"{where}: 429s", found["throttled"], at_most=0),
        Row(f"{where}: longest time that the loop is blocked", found["blocked_ms"], at_most=50, digits=1, unit=" ms"),
        Row(f"{where}: memory of all replicas ÷ jobs", found["bytes_per_job"], unit=" bytes"),
    ]


ROWS: Final[Mapping[str, Callable[[Figures], list[Row]]]] = {
    "relay": _relay,
    "latency": _latency,
    "three_brokers": _three_brokers,
    "replicas": _replicas,
    "recovery": _recovery,
    "following": _following,
    "takeover": _takeover,
    "reads": _reads,
    "quota": _quota,
    "fairness": _fairness,
    "messages": _messages,
    "client": _client,
    "client_handles": _client_handles,
    "memory": _memory,
    "emulator": _emulator,
    "results": _results,
    "readmodel": _readmodel,
    "status": _status,
    "growth": _growth,
}
"""Part → the rows of its figures, in the order in which they are shown; each part is a script of that name."""


def together(found: Mapping[str, Figures]) -> list[Row]:
    """Return rows that need the figures of two parts."""
    if not {"relay", "messages"} <= found.keys():
        return []
    share = 100 * found["relay"]["relay_per_s"] / found["messages"]["with_events_per_s"]
    what = "share of one core for messages (decode, validate, four events) at the relay's rate"
    return [Row(what, share, digits=1, unit=" %")]


def rows(found: Mapping[str, Figures]) -> list[Row]:
    """Return all rows of the parts that were measured."""
    return [row for part, make in ROWS.items() if part in found for row in make(found[part])] + together(found)
