"""Completion as the shells ask for it: commands, options, ids, clusters, tenants; nothing where Kafka is away."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from tests.support import web_role
from tests.unit.cli import fakes
from typer import testing

from mrs_relay.cli import complete, connect, main


def completed(*words: str, by: str = "zsh") -> list[str]:
    """Return what is offered for the last word, as a shell gets it."""
    line = " ".join(("mrs-relay", *words))
    env = {"_MRS_RELAY_COMPLETE": f"complete_{by}", "_TYPER_COMPLETE_ARGS": line, "COMP_WORDS": line}
    env |= {"COMP_CWORD": str(len(words)), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    shown = testing.CliRunner().invoke(main.app, prog_name="mrs-relay", env=env)
    return [one.partition("\t")[0] for one in shown.stdout.split("\n") if one]


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> fakes.Kafka:
    """A topic with the events of three requests."""
    made = fakes.Kafka(lambda _request: [])
    monkeypatch.setattr(connect, "broker", lambda _settings: made)
    monkeypatch.chdir(tmp_path)
    for one in (
        *web_role.story("nightly-1", cluster="c-1"),
        *web_role.story("nightly-2", start_ms=web_role.NOW_MS + 60_000, cluster="c-2"),
        *web_role.story("report-1", cluster="c-2"),
    ):
        made.append(one.topic, one.key, one.value, one.headers)
    return made


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.usefixtures("kafka")
def test_ids_clusters_tenants_and_scopes_are_completed(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the last events, newest first, and those of the settings."""
    assert completed("why", "", by=shell) == ["nightly-2", "nightly-1", "report-1"]
    assert completed("cancel", "rep", by=shell) == ["report-1"]
    assert completed("retry", "nightly-1", by=shell) == ["nightly-1"]
    assert completed("events", "--id", "night", by=shell) == ["nightly-2", "nightly-1"]
    assert completed("jobs", "--cluster", "c", by=shell) == ["c-2", "c-1"]
    assert completed("hold", "cl", by=shell) == ["cluster/"]
    assert completed("hold", "cluster/", by=shell) == ["cluster/c-2", "cluster/c-1"]
    assert completed("release", "request/report", by=shell) == ["request/report-1"]
    monkeypatch.setenv("MRS_RELAY_TENANTS__ETL__REQUESTS", "etl.requests")
    assert completed("why", "--tenant", "", by=shell) == ["etl"]
    assert completed("drain", "tenant/", by=shell) == ["tenant/etl"]


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_commands_and_options_are_completed(shell: str) -> None:
    """Commands from their names alone, so that no command need be imported."""
    assert completed("ho", by=shell) == ["hold"]
    assert set(completed("", by=shell)) >= {"serve", "events", "retry"}
    assert completed("hold", "--dr", by=shell) == ["--dry-run"]
    assert completed("dead-letters", "re", by=shell) == ["replay"]


@pytest.mark.usefixtures("kafka")
def test_nothing_is_offered_and_nothing_said_where_the_settings_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the middle of a line helps no reader."""
    monkeypatch.setenv("MRS_RELAY_KAFKA__GUARANTEE", "maybe")
    assert completed("why", "", by="bash") == []
    assert completed("why", "--tenant", "", by="bash") == []


@contextlib.contextmanager
def _silent_server() -> Iterator[str]:
    """Yield a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["silent", "unknown host"])
def test_it_ends_soon_and_silently_without_kafka(kind: str, tmp_path: pathlib.Path) -> None:
    """A shell waits for it, so all that is asked of Kafka has a second; the rest is the start of Python."""
    with _silent_server() as silent:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("MRS_RELAY_")}
        address = silent if kind == "silent" else "kafka.invalid:9092"
        env = {**plain, "MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS": address, "_MRS_RELAY_COMPLETE": "complete_bash"}
        words = "from mrs_relay.cli import main; main.app(prog_name='mrs-relay')"
        began_s = time.monotonic()

        ended = subprocess.run(
            [sys.executable, "-c", words],
            env={**env, "COMP_WORDS": "mrs-relay why ", "COMP_CWORD": "2"},
            cwd=tmp_path,
            capture_output=True,
            check=True,
            timeout=60,
        )

        took_s = time.monotonic() - began_s

    assert (ended.stdout.strip(), ended.stderr) == (b"", b"")
    assert took_s < complete.WITHIN_S + 25  # a busy machine starts Python slowly


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed_and_valid(shell: str, tmp_path: pathlib.Path) -> None:
    """`_MRS_RELAY_COMPLETE=source_SHELL mrs-relay` prints it; where the shell is there, it reads it."""
    made = testing.CliRunner().invoke(main.app, prog_name="mrs-relay", env={"_MRS_RELAY_COMPLETE": f"source_{shell}"})
    assert "mrs-relay" in made.stdout
    if shutil.which(shell) is not None:
        script = tmp_path / "script"
        script.write_text(made.stdout)
        subprocess.run([shell, "-n", str(script)], check=True, timeout=20)
