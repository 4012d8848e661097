"""
The service as real processes: relays and the emulator, started as a user would, and what subscribers see of them.

Everything blocks or awaits sockets; nothing here imports the engine.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiokafka
from tests.support import child, history, ports, waiting

from mrs_relay.kafka import settings
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.topics import topic_setup

CLUSTER = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"
PROJECT = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


@dataclass(frozen=True, slots=True)
class Deployment:
    """
    One deployment on a broker: topics of its own, so that tests do not meet.

    Attributes:
        bootstrap: the broker.
        name: begins all topics.
        mrs: address of MRS.
        guarantee: of the relays.
        workdir: for logs.
        more: further settings, by variable name without prefix.
    """

    bootstrap: str
    name: str
    mrs: str
    workdir: Path
    guarantee: str = "exactly-once"
    more: dict[str, str] = field(default_factory=dict)

    @property
    def requests(self) -> str:
        """The input topic."""
        return f"{self.name}.requests"

    @property
    def events(self) -> str:
        """The events topic."""
        return f"{self.name}.events"

    @property
    def dead_letters(self) -> str:
        """The topic of dead letters."""
        return f"{self.name}.dead-letters"

    def environment(self) -> dict[str, str]:
        """Return the environment of a relay process."""
        given = {
            "KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "KAFKA__GUARANTEE": self.guarantee,
            "KAFKA__APP_ID": self.name,
            "KAFKA__GROUP_ID": self.name,
            "KAFKA__TOPICS__REQUESTS": self.requests,
            "KAFKA__TOPICS__EVENTS": self.events,
            "KAFKA__TOPICS__DEAD_LETTERS": self.dead_letters,
            "KAFKA__TOPICS__CONTROL": f"{self.name}.control",
            "KAFKA__TOPICS__STATUS": f"{self.name}.status",
            "KAFKA__SESSION_TIMEOUT_MS": "6000",
            "KAFKA__HEARTBEAT_INTERVAL_MS": "500",
            "KAFKA__SHUTDOWN_S": "10",
            "MRS__ENDPOINT": self.mrs,
            "MRS__PROJECT_ID": PROJECT,
            "MRS__ACCESS_KEY": "EMULATORACCESSKEY001",
            "MRS__SECRET_KEY": "emulator-secret-key-for-local-use-only",
            "MRS__BUDGETS": "false",
            "MRS__CALL_TIMEOUT_S": "3",
            "ENGINE__SEND_WITHIN_S": "2",
            "ENGINE__SETTLE_S": "5.5",
            "ENGINE__VISIBILITY_S": "2",
            "ENGINE__LOOK_UP_INTERVAL_S": "0.5",
            "ENGINE__POLL_INTERVAL_S": "0.3",
            "ENGINE__BUSY_WAIT_S": "0.5",
            "WEB__PORT": "0",
            "LOG__FORMAT": "json",
            **self.more,
        }

        plain = {name: value for name, value in os.environ.items() if not name.startswith("MRS_RELAY_")}
        return {**plain, **{f"MRS_RELAY_{name}": value for name, value in given.items()}}

    def command(self, *words: str, timeout_s: float = waiting.LIMIT_S) -> tuple[int, str]:
        """Run `mrs-relay` with this deployment's settings; exit code and everything it printed."""
        log = self.workdir / f"{self.name}-{words[0]}-{time.monotonic_ns()}.log"
        process = child.Child([sys.executable, "-m", "mrs_relay", *words], log=log, env=self.environment())
        code = process.wait(timeout_s)
        if code is None:
            process.kill()
            raise child.ChildFailed(f"mrs-relay {' '.join(words)} took longer than {timeout_s:g} s: {log.read_text()}")
        return code, log.read_text()

    def create_topics(self, partitions: int = 4, replication: int = 1) -> None:
        """Make the topics as `mrs-relay topics create` does, which would take a process and its imports each time."""
        sizes = {"partitions": partitions, "replication_factor": replication}
        kafka = settings.KafkaSettings.model_validate(self._group("kafka") | sizes)

        async def create() -> None:
            async with client.KafkaBroker(kafka).admin() as admin:
                await topic_setup.create(admin, kafka)

        with ThreadPoolExecutor(1) as pool:  # a thread of its own: the caller may have a loop
            pool.submit(asyncio.run, create()).result()

    def _group(self, wanted: str) -> dict[str, Any]:
        """Return a group of settings as a relay reads it from `environment`."""
        found: dict[str, Any] = {}
        for name, value in self.environment().items():
            group, *path = name.removeprefix("MRS_RELAY_").lower().split("__")
            if group != wanted or not name.startswith("MRS_RELAY_"):
                continue
            inner = found
            for step in path[:-1]:
                inner = inner.setdefault(step, {})
            inner[path[-1]] = value
        return found

    def start_relay(self, label: str, **more: str) -> child.Child:
        """Start one relay process."""
        log = self.workdir / f"{self.name}-relay-{label}.log"
        environment = {**self.environment(), **{f"MRS_RELAY_{name}": value for name, value in more.items()}}
        return child.Child([sys.executable, "-m", "mrs_relay", "serve"], log=log, env=environment)

    async def send(self, messages: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        """Write requests as (key, value), acknowledged."""
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", max_request_size=8_000_000)
        await producer.start()
        try:
            for key, value in messages:
                await producer.send_and_wait(self.requests, value, key=key)
        finally:
            await producer.stop()

    async def records(self, topic: str) -> list[aiokafka.ConsumerRecord[bytes, bytes]]:
        """Return everything committed in a topic at this moment."""
        async with self._reading(topic) as consumer:
            parts = sorted(consumer.assignment())
            ends = await consumer.end_offsets(parts)
            found: list[aiokafka.ConsumerRecord[bytes, bytes]] = []
            async with asyncio.timeout(waiting.LIMIT_S):
                while not all([await consumer.position(part) >= ends[part] for part in parts]):
                    for batch in (await consumer.getmany(timeout_ms=300)).values():
                        found += batch
            return found

    @asynccontextmanager
    async def _reading(self, topic: str) -> AsyncIterator[aiokafka.AIOKafkaConsumer[bytes, bytes]]:
        """Read what is committed in a topic, from its beginning."""
        consumer = aiokafka.AIOKafkaConsumer(
            topic, bootstrap_servers=self.bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    async def story(self) -> list[history.Seen]:
        """Return all committed events."""
        return [history.seen(record.headers, record.value) for record in await self.records(self.events)]

    async def until_ended(self, request_ids: Iterable[str]) -> list[history.Seen]:
        """Wait until every request has a last event; returns all events, also when time is up."""
        left = set(request_ids)
        ends_s = time.monotonic() + waiting.LIMIT_S
        async with self._reading(self.events) as consumer:
            while left and time.monotonic() < ends_s:
                for batch in (await consumer.getmany(timeout_ms=300)).values():
                    events = (history.seen(record.headers, record.value) for record in batch)
                    left -= {event.request_id for event in events if event.state in history.LAST}
        return await self.story()


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator process."""

    url: str

    def effects(self, kind: str = "job") -> list[dict[str, Any]]:
        """Return what was really created."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", f"/emulator/effects?kind={kind}&start={len(found)}&limit=1000")["effects"]
            found += page
            if len(page) < 1000:
                return found

    def fault(self, **order: Any) -> None:
        """Order trouble."""
        self._call("POST", "/emulator/faults", json.dumps(order).encode())

    def hits(self) -> int:
        """Return how many calls the faults in force have matched."""
        return sum(fault["matched"] for fault in self._call("GET", "/emulator/faults")["faults"])

    def lift(self) -> None:
        """End all trouble."""
        self._call("DELETE", "/emulator/faults")

    def _call(self, verb: str, path: str, body: bytes | None = None) -> Any:
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=verb)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.loads(reply.read() or b"null")


@contextmanager
def emulator(workdir: Path, *flags: str, limited: bool = False) -> Iterator[Emulator]:
    """Yield an emulator process; `flags` are those of `mrs-relay emulate`; only a limited one answers 429."""
    port = ports.free_port()
    limits = [] if limited else ["--no-limits"]
    command = [sys.executable, "-m", "mrs_relay", "emulate", "--port", str(port), *limits, *flags]
    own = os.environ | {"TMPDIR": str(workdir)}  # a killed one leaves its temporary folder behind
    process = child.Child(command, log=workdir / f"emulator-{port}.log", env=own)
    playing = Emulator(f"http://127.0.0.1:{port}")

    def answers() -> bool:
        try:
            return bool(playing._call("GET", "/emulator/health"))
        except OSError:
            return False

    try:
        process.wait_ready(answers, timeout_s=waiting.LIMIT_S)
        yield playing
    finally:
        process.kill()


def job(request_id: str, *, name: str = "job", job_type: str = "SparkSubmit", **more: Any) -> bytes:
    """Return a request for a batch job."""
    data = {"cluster": CLUSTER, "job": {"job_type": job_type, "job_name": name}, **more}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.job.submit", "data": data}).encode()


def old_job(request_id: str, *, name: str = "job", fields: dict[str, str] | None = None, **more: Any) -> bytes:
    """Return a request for a batch job by V1.1's job API; `fields` are more fields of the job."""
    job = {"job_type": "MapReduce", "job_name": name, "jar_path": "s3a://demo/sessionize.jar", **(fields or {})}
    data = {"cluster": CLUSTER, "api": "v1.1", "job": job, **more}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.job.submit", "data": data}).encode()


def sql(request_id: str, engine: str, statement: str, **more: Any) -> bytes:
    """Return a request for SQL."""
    data = {"cluster": CLUSTER, "engine": engine, "statement": statement, **more}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.sql.submit", "data": data}).encode()


def call(request_id: str, operation: str, path: dict[str, str], body: dict[str, Any] | None = None) -> bytes:
    """Return a request to call one operation of MRS."""
    data = {"operation": operation, "path": path, **({"body": body} if body is not None else {})}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.call", "data": data}).encode()


def cancel(message_id: str, request_id: str, **more: Any) -> bytes:
    """Return a message that cancels a request."""
    data = {"request": {"id": request_id}, **more}
    return json.dumps({"id": message_id, "source": "/test", "type": "mrs.job.cancel", "data": data}).encode()


def resolve(message_id: str, request_id: str, verdict: str, note: str = "looked at MRS") -> bytes:
    """Return a message that settles a request by hand."""
    data = {"request": {"id": request_id}, "verdict": verdict, "note": note}
    return json.dumps({"id": message_id, "source": "/test", "type": "mrs.job.resolve", "data": data}).encode()
