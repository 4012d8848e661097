"""The guides for another Kafka are walked through: the commands of their pages, with relays and a Kafka that dies."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import brokers, child, pages, service, waiting

pytestmark = pytest.mark.kafka

_BOOTSTRAP = "MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS"
_PARTITIONS = 4
_LAST = {"succeeded", "failed", "cancelled", "unknown"}


@dataclass(frozen=True, slots=True)
class _Move:
    """
    A deployment on two Kafkas.

    Attributes:
        old: it on the Kafka that is left.
        new: it on the other one.
        node: the Kafka that is left.
        mrs: where its jobs run.
        folder: where commands run; has `old.toml` and `new.toml`.
    """

    old: service.Deployment
    new: service.Deployment
    node: brokers.KafkaNode
    mrs: service.Emulator
    folder: Path

    def commands(self, page: str, head: str) -> list[str]:
        """Return the commands of mrs-relay below a heading of a page."""
        (section,) = (part for part in (pages.DOCS / page).read_text().split("\n## ") if part.startswith(head))
        found = re.findall(r"^    (mrs-relay .*)$", section, re.MULTILINE)
        assert found, f"{page} has no command below {head}"
        return found

    async def run(self, command: str, *, code: int | None = 0) -> str:
        """Run one command of a page as it stands there; it ends with `code`, or as it will."""
        plain = {name: value for name, value in self.old.environment().items() if name != _BOOTSTRAP}
        if "--config" not in command:
            plain[_BOOTSTRAP] = self.old.bootstrap
        _, *words = shlex.split(command.replace("/backup/", ""))
        program = [sys.executable, "-m", "mrs_relay", *words]
        done = await asyncio.to_thread(child.run, program, cwd=self.folder, env=plain, timeout_s=waiting.LIMIT_S)
        assert code in (None, done.returncode), f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return str(done.stdout)

    async def hold(self, word: str) -> None:
        """Hold or release the cluster on the old Kafka."""
        words = (word, f"cluster/{service.CLUSTER}", "--reason", "for a moment")
        code, shown = await asyncio.to_thread(self.old.command, *words)
        assert code == 0, shown

    def jobs(self) -> list[str]:
        """Return the names that were requested for all jobs that MRS has or had."""
        return sorted(str(one["name"]).split("-d")[0] for one in self.mrs.effects())


@pytest.fixture
def move(kafka: brokers.KafkaNode, tmp_path: Path) -> Iterator[_Move]:
    """A deployment with topics on a Kafka of its own, and the session's Kafka to move to."""
    folder = tmp_path / "old"
    folder.mkdir()
    with (
        brokers.start_kafka(folder, brokers.QUICK_JVM, brokers.IMPATIENT) as node,
        service.emulator(tmp_path, "--run-s", "5") as mrs,
    ):
        name = f"move-{uuid.uuid4().hex[:6]}"
        more = {"KAFKA__TOPICS__AUDIT": f"{name}.audit", "WEB__PORT": "0"}
        old = service.Deployment(node.bootstrap, name, mrs.url, tmp_path, more=more)
        new = service.Deployment(kafka.bootstrap, name, mrs.url, tmp_path, more=more)
        old.create_topics(_PARTITIONS)
        for which, bootstrap in (("old", node.bootstrap), ("new", kafka.bootstrap)):
            (tmp_path / f"{which}.toml").write_text(f'[kafka]\nbootstrap_servers = "{bootstrap}"\n')
        yield _Move(old, new, node, mrs, tmp_path)


async def _send(there: service.Deployment, *names: str, lasts_s: float | None = None) -> None:
    for name in names:
        job: dict[str, Any] = {"job_type": "SparkSubmit", "job_name": name}
        if lasts_s is not None:
            job["properties"] = {"emulator.duration_s": str(lasts_s)}
        message = {
            "id": name,
            "source": "/test",
            "type": "mrs.job.submit",
            "data": {"cluster": service.CLUSTER, "job": job},
        }
        await there.send([(name.encode(), json.dumps(message).encode())])


async def _until(there: service.Deployment, state: str, *names: str) -> None:
    """Wait until each request has had an event of this state."""

    async def all_have() -> bool:
        return not set(names) - {event.request_id for event in await there.story() if event.state == state}

    await waiting.until(all_have)


async def _prepare(move: _Move) -> None:
    """Let one request end, one run on MRS, and one wait."""
    await _send(move.old, "ended")
    await move.old.until_ended(["ended"])
    await _send(move.old, "runs")
    await _until(move.old, "submitted", "runs")
    await move.hold("hold")
    await _send(move.old, "waits")
    await _until(move.old, "accepted", "waits")


async def _numbers(*there: service.Deployment) -> dict[str, list[tuple[int, str]]]:
    """Return numbers and states of all events, by request, in the order of the Kafkas."""
    found: dict[str, list[tuple[int, str]]] = {}
    for one in there:
        for event in await one.story():
            found.setdefault(event.request_id, []).append((event.sequence, event.state))
    return found


@pytest.mark.timeout(600)
async def test_move_to_another_kafka_as_the_page_says(move: _Move) -> None:
    """Every job ends once on MRS, numbers of events go on, ids sent again are recognised, and no job is an orphan."""
    page = "move-kafka.md"
    relay = move.old.start_relay("old")
    await _prepare(move)

    for command in move.commands(page, "1. Prepare"):
        await move.run(command)
    await _send(move.new, "new", "ended", "waits")  # its senders were not sure of two of them
    for command in move.commands(page, "2. Switch"):
        await move.run(command)
    assert await asyncio.to_thread(relay.stop) == 0
    for head in ("4. Export", "5. Import"):
        for command in move.commands(page, head):
            await move.run(command)

    relay = move.new.start_relay("new")
    try:
        await move.new.until_ended(["new", "waits", "runs", "ended"])
        numbers = await _numbers(move.old, move.new)
        assert move.jobs() == ["ended", "new", "runs", "waits"]
        for name in ("runs", "waits"):
            once = dict.fromkeys(numbers[name])
            assert [number for number, _ in once] == list(range(1, len(once) + 1)), numbers[name]
            assert [state for _, state in once if state in _LAST] == ["succeeded"]
        assert {state for _, state in numbers["ended"] if state in _LAST} == {"succeeded"}
        for command in move.commands(page, "6. Start"):
            await move.run(command)
    finally:
        assert await asyncio.to_thread(relay.stop) == 0


@pytest.mark.timeout(600)
async def test_recovery_from_an_export_as_the_page_says(move: _Move) -> None:
    """
    The relay goes on after the export, then it and its Kafka die.

    What was submitted in between is found on MRS and not submitted again; what was accepted in between is an orphan.
    """
    page = "disaster-recovery.md"
    relay = move.old.start_relay("old")
    await _prepare(move)
    for command in move.commands(page, "Beforehand")[:1]:
        await move.run(command)
    (exported,) = move.folder.glob("relay-*.ledgers")
    exported.rename(move.folder / "relay.ledgers")
    for command in move.commands(page, "Beforehand")[1:]:
        await move.run(command)

    await move.hold("release")
    await _send(move.old, "late", lasts_s=3600)
    await _until(move.old, "submitted", "waits", "late")
    await asyncio.to_thread(relay.kill)
    await asyncio.to_thread(move.node.kill)

    *before, orphans, kill_all = move.commands(page, "Recover")
    for command in before:
        await move.run(command)
    relay = move.new.start_relay("new")
    try:
        await move.new.until_ended(["waits", "runs"])

        async def is_found() -> bool:
            return "forgotten" in await move.run(orphans, code=None)

        await waiting.until(is_found)
        await move.run(kill_all)
        await _send(move.new, "ended", "runs", "waits")
        await _send(move.new, "late")
        await move.new.until_ended(["ended", "late"])

        assert move.jobs() == ["ended", "late", "late", "runs", "waits"]
        numbers = await _numbers(move.new)
        assert {name: {state for _, state in seen if state in _LAST} for name, seen in numbers.items()} == {
            name: {"succeeded"} for name in ("ended", "late", "runs", "waits")
        }
    finally:
        assert await asyncio.to_thread(relay.stop) == 0
