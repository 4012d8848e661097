"""A real relay takes over limits from its file, on SIGHUP and by itself, and keeps them when the file is wrong."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from tests.support import brokers, child, service, waiting

_IN_A_TERMINAL = """
import os, pty, sys
relay, terminal = pty.fork()
if relay == 0:
    os.execv(sys.executable, [sys.executable, "-m", "mrs_relay", "serve"])
shown = b""
while b"relay_started" not in shown:
    shown += os.read(terminal, 4096)
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(relay, 0)[1]))
"""


def _write(file: Path, here: service.Deployment, limits: str) -> None:
    file.write_text(f'[tenants.a]\nrequests = "{here.requests}"\nlimits = {{ {limits} }}\n')


def _logged(log: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


async def _until(log: Path, event: str, count: int) -> dict[str, Any]:
    await waiting.until(lambda: len(_logged(log, event)) >= count)
    return _logged(log, event)[-1]


async def test_limits_change_under_a_running_relay(kafka: brokers.KafkaNode, tmp_path: Path) -> None:
    """What changed is in the log and on record; the requests that waited go on; the process is the same."""
    with service.emulator(tmp_path, "--run-s", "600") as mrs:
        topics = {"KAFKA__TOPICS__AUDIT": "reload.audit"}
        here = service.Deployment(kafka.bootstrap, "reload", mrs.url, tmp_path, more=topics)
        await asyncio.to_thread(here.create_topics, 1)
        file, log = tmp_path / "relay.toml", tmp_path / "relay.log"
        _write(file, here, "running = 1")
        command = [sys.executable, "-m", "mrs_relay", "serve", "--config", str(file)]
        relay = child.Child(command, log=log, env=here.environment())
        await _until(log, "relay_started", 1)
        await here.send([(b"k", service.job(f"r-{number}")) for number in range(4)])
        await waiting.until(lambda: len(mrs.effects()) >= 1)

        _write(file, here, "running = 2")
        relay.send(signal.SIGHUP)
        found = await _until(log, "settings_reloaded", 1)
        assert (found["before"], found["after"]) == (
            {"tenants.a.limits.running": 1},
            {"tenants.a.limits.running": 2},
        )
        await waiting.until(lambda: len(mrs.effects()) >= 2)

        _write(file, here, "running = 0")
        relay.send(signal.SIGHUP)
        assert "tenants.a.limits.running" in (await _until(log, "settings_not_reloaded", 1))["error"]
        _write(file, here, "running = 3")  # without a signal
        assert (await _until(log, "settings_reloaded", 2))["via"] == "file"
        await waiting.until(lambda: len(mrs.effects()) >= 3)

        assert await asyncio.to_thread(relay.stop) == 0
        code, text = await asyncio.to_thread(here.command, "audit", "--action", "settings.reload", "--json")
        decided = [json.loads(line)["data"] for line in text.splitlines() if line.startswith("{")]
        assert code == 0
        assert [one["after"] for one in decided] == [{"tenants.a.limits.running": number} for number in (2, 3)]


def test_closing_its_terminal_ends_a_relay_in_order(tmp_path: Path) -> None:
    """SIGHUP means that its terminal is gone, to which it can no longer write: it drains, and exits with 0."""
    here = service.Deployment("127.0.0.1:1", "closed", "http://127.0.0.1:1", tmp_path)
    terminal = child.Child([sys.executable, "-c", _IN_A_TERMINAL], log=tmp_path / "log.txt", env=here.environment())
    assert terminal.wait(waiting.LIMIT_S) == 0, terminal.log.read_text()
