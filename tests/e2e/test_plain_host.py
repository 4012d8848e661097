"""The guide for a plain host is walked through: its settings files, and what its units of systemd start."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import brokers, child, ports, roles, service, waiting

pytestmark = pytest.mark.embedded

_ROOT = Path(__file__).resolve().parents[2]
_UNITS = sorted((_ROOT / "deploy/systemd").glob("*.service"))
_PROGRAM = "/opt/mrs-relay/bin/mrs-relay"
_SETTINGS = "/etc/mrs-relay"
_STATE = "/var/lib/mrs-relay"
_CREDENTIALS = f"""\
project_id = "{service.PROJECT}"
access_key = "EMULATORACCESSKEY001"
secret_key = "emulator-secret-key-for-local-use-only"
"""


def _values(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def _lay_out(root: Path, bootstrap: str, mrs: str) -> None:
    """Write the files that the guide shows, for the brokers and the MRS of this machine."""
    text = (_ROOT / "docs/plain-host.md").read_text()
    blocks = dict(
        re.findall(r"`/etc/mrs-relay/(\w+\.toml)`[^\n]*\n(?:[^`\n][^\n]*\n)*\n```toml\n(.*?)```", text, re.DOTALL)
    )
    assert sorted(blocks) == ["relay.toml", "web.toml"]
    names = ("requests", "events", "dead_letters", "control", "audit", "status")
    topics = "".join(f'{name} = "host.{name}"\n' for name in names)
    here = f'guarantee = "at-least-once"\napp_id = "host"\ngroup_id = "host"\n[kafka.topics]\n{topics}'
    for name, shown in blocks.items():
        ours = re.sub(r'bootstrap_servers = ".*"\n', f'bootstrap_servers = "{bootstrap}"\n{here}', shown)
        ours = ours.replace('region = "cn-north-4"', f'endpoint = "{mrs}"').replace(_SETTINGS, str(root))
        (root / name).write_text(ours)
    (root / "credentials.toml").write_text(_CREDENTIALS)


def _start(unit: Path, root: Path, **more: str) -> child.Child:
    """Start what a unit starts, with its variables and with nothing else of this machine's settings."""
    (command,) = _values(unit, "ExecStart")
    words = shlex.split(command.replace(_SETTINGS, str(root)))
    assert words.pop(0) == _PROGRAM
    given = dict(one.replace(_STATE, str(root)).split("=", 1) for one in _values(unit, "Environment"))
    given = {name: value.replace("%H", "host-a").replace("%i", "1") for name, value in given.items()}
    return roles.start(words, {**given, **more}, root / f"{unit.name}.log")


def test_systemd_takes_the_units_and_finds_little_that_they_could_harm(tmp_path: Path) -> None:
    """`systemd-analyze` knows each line, and rates what a unit is exposed to as OK."""
    program = shutil.which("systemd-analyze")
    assert program is not None, "systemd-analyze is missing: make tools"
    for unit in _UNITS:
        copy = tmp_path / unit.name.replace("@", "@1")
        copy.write_text(unit.read_text().replace(_PROGRAM, sys.executable))
        verified = subprocess.run([program, "verify", copy], capture_output=True, text=True, check=False)
        assert (verified.returncode, unit.name in verified.stderr) == (0, False), verified.stderr
        rated = subprocess.run(
            [program, "security", "--offline=yes", "--no-pager", "--threshold=25", copy],
            capture_output=True,
            text=True,
            check=False,
        )
        assert rated.returncode == 0, rated.stdout[-300:]


async def test_both_units_start_reload_and_stop_as_the_guide_says(tmp_path: Path, embedded: brokers.TansuNode) -> None:
    """They become ready, carry a request through, read their rules again on SIGHUP and end in time on SIGTERM."""
    relay_unit, web_unit = (_ROOT / "deploy/systemd" / name for name in ("mrs-relay@.service", "mrs-relay-web.service"))
    relay_port, web_port = ports.free_port(), ports.free_port()
    with service.emulator(tmp_path, "--run-s", "1") as mrs:
        _lay_out(tmp_path, embedded.bootstrap, mrs.url)
        create = [sys.executable, "-m", "mrs_relay", "topics", "create", "--config", str(tmp_path / "relay.toml")]
        made = child.Child(create, log=tmp_path / "topics.log")
        assert await asyncio.to_thread(made.wait, waiting.LIMIT_S) == 0, made.log.read_text()

        relay = _start(relay_unit, tmp_path, MRS_RELAY_WEB__PORT=f"{relay_port}")
        web = _start(web_unit, tmp_path, MRS_RELAY_API__PORT=f"{web_port}")
        try:
            await roles.until(lambda: roles.answers(relay_port, "/ready"), relay)
            await roles.until(lambda: roles.answers(web_port, "/ready"), web)
            deployment = service.Deployment(embedded.bootstrap, "host", mrs.url, tmp_path, "at-least-once")
            await deployment.send([(b"k", service.job("r-1"))])
            events = await deployment.until_ended(["r-1"])
            assert events[-1].state == "succeeded"

            assert _values(relay_unit, "ExecReload") == ["/bin/kill -HUP $MAINPID"]
            relay.send(signal.SIGHUP)
            await roles.until(lambda: '"via": "signal"' in relay.log.read_text(), relay)
        finally:
            for unit, process in ((relay_unit, relay), (web_unit, web)):
                (limit_s,) = map(float, _values(unit, "TimeoutStopSec"))
                assert await asyncio.to_thread(process.stop, limit_s) == 0


async def test_wrong_settings_end_with_the_code_after_which_the_unit_stays_ended(tmp_path: Path) -> None:
    """Starting again would not help."""
    for unit in _UNITS:
        for name in ("relay.toml", "web.toml"):
            (tmp_path / name).write_text("[kafka]\nbootstrap_server = 'misspelt'\n")
        process = _start(unit, tmp_path)
        code = await asyncio.to_thread(process.wait, waiting.LIMIT_S)
        assert [str(code)] == _values(unit, "RestartPreventExitStatus"), process.log.read_text()
