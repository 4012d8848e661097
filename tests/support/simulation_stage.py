"""One tenant of one simulated deployment: what is sent to it, what is reported of it, and what its ledger keeps."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support import cause_history, chunk_history, history, service, simulation_draws, simulation_extras

from mrs_emulator.core import state
from mrs_relay.kafka import records
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.messages import codec

PARTITIONS = 3


@dataclass(eq=False)
class Stage:
    """
    A topic of requests and what follows from it.

    Attributes:
        name: of the deployment and the tenant; makes the texts of statements and the keys of tags its own.
        bodies: request id -> partition and message.
        tied: requests that wait for a cluster that answers "not now", and may end late.
        late: requests that have ended and whose rows come late.
        tags: request id -> the key of the tag that its call sets.
        cancelled: requests for which a cancel was sent.
    """

    name: str
    hub: memory_broker.MemoryBroker
    topics: kafka_settings.Topics
    chance: random.Random
    extras: simulation_extras.Extras
    bodies: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    tied: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    _read: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(PARTITIONS), 0))

    def put(self, partition: int, body: bytes | None, key: bytes | None = None, headers: Any = ()) -> None:
        """Send a message."""
        self.hub.put(self.topics.requests, partition, key or b"k-%d" % partition, body, headers)

    def send(self, request_id: str) -> tuple[int, bytes]:
        """Send a request of some kind; returns where it went, and its message."""
        partition = self.chance.randrange(PARTITIONS)
        body = self._drawn(request_id)
        self.bodies[request_id] = (partition, body)
        self.put(partition, body)
        return partition, body

    def _drawn(self, request_id: str) -> bytes:
        chance, extras = self.chance, self.extras
        if extras.dead and chance.random() < 0.4:
            self.tied.add(request_id)
            return simulation_extras.for_dead(chance, extras, request_id, self.name)
        if extras.rows_away_s is not None and chance.random() < 0.4:
            return simulation_extras.select(chance, extras, request_id, self.name)
        if extras.logs and chance.random() < 0.4:
            return simulation_extras.failing(chance, request_id, self.name)

        if extras.calls and chance.random() < 0.4:
            key = f"{self.name}{request_id}"
            body = simulation_extras.call(chance, request_id, key)
            if b"CreateClusterTag" in body:
                self.tags[request_id] = key
            return body

        return simulation_draws.request(chance, request_id, self.name)

    def cancel(self, partition: int, message_id: str, request_id: str) -> None:
        """Send a cancel of a request."""
        self.cancelled.add(request_id)
        self.put(partition, service.cancel(message_id, request_id))

    def send_late(self, count: int) -> None:
        """Send plain jobs after the troubles, and some that fail: what is dead by then must not keep them."""
        for number in range(count):
            request_id = f"r-late-{number}"
            partition = number % PARTITIONS
            self.bodies[request_id] = (partition, service.job(request_id, name="late"))
            self.put(*self.bodies[request_id])
        for number in range(2 * count if self.extras.logs else 0):
            request_id = f"r-late-failing-{number}"
            body = simulation_extras.failing(self.chance, request_id, self.name, **{"emulator.duration_s": "40"})
            self.bodies[request_id] = (number % PARTITIONS, body)
            self.put(*self.bodies[request_id])

    def read_on(self) -> None:
        """Note which requests have ended by now."""
        for partition in self._read:
            log = self.hub.log(records.Position(self.topics.events, partition))
            found, self._read[partition] = log.read(self._read[partition], 1 << 30)
            seen = [history.seen(record.headers, record.value or b"") for record in found]
            self.ended.update(event.request_id for event in seen if event.state in history.LAST)
            for event in seen:
                if "late_until" in (event.data.get("result") or {}):
                    self.late.add(event.request_id)
                elif event.state == "result":
                    self.late.discard(event.request_id)

    def left(self, *, tied: bool) -> set[str]:
        """Return requests that have not ended or whose rows are late, with or without those for a dead cluster."""
        return (self.bodies.keys() - self.ended | self.late) - (frozenset() if tied else self.tied)

    # the judgement

    def story(self) -> list[history.Seen]:
        """Return all events of requests, by partition in order; not those of cancels and malformed messages."""
        shown = [history.seen(one.headers, one.value or b"") for one in self.hub.committed(self.topics.events)]
        if self.extras.bad:
            return [event for event in shown if event.request_id in self.bodies]
        return [event for event in shown if not event.request_id.startswith("c-")]

    def kept(self) -> list[history.Kept]:
        """Return what the ledger says of each request."""
        found: list[history.Kept] = []
        for partition in range(PARTITIONS):
            log = self.hub.log(records.Position(self.topics.ledger, partition))
            ledger = history.Ledger()
            for record in log.read(0, 1 << 30)[0]:
                ledger.add(record.offset, record.key, record.value, record.headers)
            found += ledger.jobs.values()
        if self.extras.bad:
            return [job for job in found if job.request_id in self.bodies]
        return [job for job in found if not job.request_id.startswith("c-")]

    def ends(self) -> dict[str, cause_history.End]:
        """Return id of a job on MRS -> its end as it was reported first."""
        found: dict[str, cause_history.End] = {}
        for record in self.hub.committed(self.topics.events):
            event = history.seen(record.headers, record.value or b"")
            job_id = (event.data.get("mrs") or {}).get("job_id")
            if job_id and event.state in history.LAST | {"retrying"} and not event.data.get("repeated"):
                _, body = self.bodies.get(event.request_id, (0, b"{}"))
                cause = cause_history.wanted(body).cause
                end = cause_history.End(record.timestamp_ms / 1000, event.data.get("reason") or {}, cause)
                found.setdefault(job_id, end)
        return found

    def wrong_causes(self, events: Iterable[history.Seen]) -> Iterator[str]:
        """Yield what is wrong with the reasons of failed jobs, and with what followed them."""
        if self.extras.logs:
            jobs = {name: body for name, (_, body) in self.bodies.items() if b"mrs.job.submit" in body}
            asked = {name: cause_history.wanted(body) for name, body in jobs.items() if b'"v1.1"' not in body}
            yield from cause_history.faults(events, asked, self.cancelled)

    def chunks(self) -> list[chunk_history.Chunk]:
        """Return all chunks that were stored."""
        if not self.extras.chunks or self.topics.results is None:
            return []
        return [
            chunk_history.chunk((one.partition, one.offset), one.timestamp_ms, one.headers, one.value or b"")
            for one in self.hub.committed(self.topics.results)
        ]

    def chunked_rows(self) -> dict[str, list[str]]:
        """Request -> its rows, of those that want them in chunks."""
        return {name: _values(body) for name, (_, body) in self.bodies.items() if b'"chunks"' in body}

    def results(self) -> Iterator[tuple[history.Seen, int]]:
        """Yield the events that name chunks, or say that there are none, with the time of their record."""
        wanted = self.chunked_rows()
        for record in self.hub.committed(self.topics.events):
            event = history.seen(record.headers, record.value or b"")
            is_first = event.state == "result" or not event.data.get("repeated")
            if event.request_id in wanted and event.state in {"succeeded", "result"} and is_first:
                yield event, record.timestamp_ms

    def wrong_chunks(self) -> Iterator[str]:
        """Yield what is wrong with the chunks that events name, and successes whose chunks no event names."""
        if not self.extras.chunks:
            return
        rows = self.chunked_rows()
        named: list[chunk_history.Named] = []
        last: dict[str, dict[str, Any]] = {}
        for event, at_ms in self.results():
            last[event.request_id] = event.data.get("result") or {}
            if (found := chunk_history.named(event.request_id, at_ms, event.data)) is not None:
                named.append(found)
        yield from chunk_history.faults(named, self.chunks(), rows)
        for request_id, result in last.items():
            if "chunks" not in result and not (self.extras.rows_away_s and "unavailable" in result):
                yield f"{request_id}: has succeeded, and its last event names no chunks: {result}"

    def denied(self, events: Iterable[history.Seen], effects: Iterable[state.Effect], tags: set[str]) -> list[str]:
        """Return requests reported as `cancelled` without a submission although MRS has carried them out."""
        run = {effect.statement for effect in effects if effect.kind != "job"}
        found = []
        for event in events:
            if event.state != "cancelled" or event.data.get("repeated") or event.request_id not in self.bodies:
                continue
            data = codec.decode(self.bodies[event.request_id][1]).get("data") or {}
            never_sent = event.data.get("attempt", 0) == 0
            if never_sent and data.get("statement") in run:
                found.append(f"{event.request_id}: reported as cancelled and never sent, but its statement ran")
            if self.tags.get(event.request_id) in tags:
                found.append(f"{event.request_id}: reported as cancelled, but MRS has set its tag")
        return found


def _values(body: bytes) -> list[str]:
    """Return the values that a statement selects, in order."""
    return re.findall(r"'([^']*)' as one", json.loads(body)["data"]["statement"])
