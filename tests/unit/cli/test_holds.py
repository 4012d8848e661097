"""Controls from the command line: what is written, listed, lifted, and awaited."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.cli import fakes
from tests.unit.engine import samples
from typer import testing

from mrs_relay.cli import connect, holds, ledger, main
from mrs_relay.common import clock
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.messages import audit, controls

_TOPIC = "mrs.control"
_LEDGER = "mrs.requests.ledger"


class _Shell:
    def __init__(self, kafka: fakes.Kafka) -> None:
        self.kafka = kafka

    def run(self, *words: str, code: int = 0) -> str:
        shown = testing.CliRunner().invoke(main.app, words)
        assert shown.exit_code == code, (shown.output, shown.exception)
        return shown.output

    def put(self, scope: str, mode: str, **more: Any) -> None:
        value = json.dumps({"mode": mode, "reason": "why", **more}).encode()
        self.kafka.append(_TOPIC, scope.encode(), value, ())

    @property
    def last(self) -> tuple[str, controls.Control | None]:
        """The last record: its key, and the control that it sets."""
        record = self.kafka.logs[_TOPIC][-1]
        scope, control = controls.read(record.key, record.value, record.timestamp_ms)
        return str(scope), control

    def job(self, request_id: str, state: jobs.State, **changes: Any) -> None:
        found = samples.request(id=request_id, state=state, **changes)
        self.kafka.append(_LEDGER, found.ledger_key, job_records.encode(found), ())


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> _Shell:
    """A control topic and a ledger, both empty."""
    kafka = fakes.Kafka(lambda _request: [])
    kafka.logs |= {_TOPIC: [], _LEDGER: []}
    monkeypatch.setattr(connect, "broker", lambda _settings: kafka)
    monkeypatch.setattr(holds, "_LOOK_S", 0.0)
    return _Shell(kafka)


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        (("hold", "cluster/c-1"), "hold"),
        (("drain", "tenant/a"), "drain"),
        (("quarantine", "label/team=etl"), "quarantine"),
        (("quarantine", "label/team=etl", "--reject"), "reject"),
    ],
)
def test_control_is_written_with_reason_and_author(shell: _Shell, words: tuple[str, ...], mode: str) -> None:
    """One record under the scope, which every replica reads."""
    shown = shell.run(*words, "--reason", "upgrade", "--by", "ann", "--until", "2h")
    scope, control = shell.last
    assert control is not None
    assert (scope, control.mode, control.reason, control.by) == (words[1], mode, "upgrade", "ann")
    assert control.until_ms - control.at_ms == 2 * 3600 * 1000
    assert f"set: {mode} of {words[1]} by ann until " in shown


def test_message_is_skipped_by_its_place(shell: _Shell) -> None:
    """The scope of a skip is an offset."""
    shell.run("skip", "mrs.requests/3/1042", "--reason", "by mistake")
    scope, control = shell.last
    assert (scope, control and control.mode) == ("offset/mrs.requests/3/1042", "skip")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hold", "queue/x", "--reason", "r"), "unknown scope"),
        (("hold", "all", "--reason", " "), "give a reason"),
        (("hold", "all"), "--reason"),
        (("hold", "offset/in/0/1", "--reason", "r"), "expected skip"),
        (("skip", "in/0", "--reason", "r"), "expected TOPIC/PARTITION/OFFSET"),
        (("hold", "all", "--reason", "r", "--until", "soon"), "neither a duration"),
        (("hold", "all", "--reason", "r", "--until", "2026-11-24T06:00:00"), "neither a duration"),
        (("hold", "all", "--reason", "r", "--until", "2020-11-24T06:00:00Z"), "is over"),
    ],
)
def test_wrong_use_writes_nothing(shell: _Shell, words: tuple[str, ...], said: str) -> None:
    """What a replica would pass over is refused here."""
    shown = " ".join(shell.run(*words, code=2).replace("│", " ").split())
    assert said in shown
    assert shell.kafka.logs[_TOPIC] == []


def test_controls_in_effect_are_listed(shell: _Shell) -> None:
    """Not those that were lifted, are over, or are none."""
    shell.put("all", "hold", by="ann")
    shell.put("tenant/a", "drain")
    shell.put("tenant/b", "hold", until="2020-01-01T00:00:00Z")
    shell.put("tenant/c", "no such mode")
    shell.kafka.append(_TOPIC, b"tenant/a", None, ())
    rows = [json.loads(line) for line in shell.run("controls", "--json").splitlines() if line.startswith("{")]
    assert [(row["scope"], row["mode"], row["by"]) for row in rows] == [("all", "hold", "ann")]
    assert "hold" in shell.run("controls")


def test_release_lifts_what_is_there_by_a_tombstone(shell: _Shell) -> None:
    """A scope without a control is a slip, and says so."""
    shell.put("all", "hold")
    assert "lifted: hold of all: why" in shell.run("release", "all")
    assert shell.last == ("all", None)
    assert shell.kafka.logs[_TOPIC][-1].value is None
    assert "has no control" in shell.run("release", "tenant/a", code=1)


def test_what_is_set_and_lifted_is_on_record_with_reason_and_tenant(shell: _Shell) -> None:
    """A tombstone holds no reason, so the record of the decision does."""
    shell.kafka.logs["mrs.audit"] = []
    shell.run("hold", "tenant/a", "--reason", "upgrade")
    shell.run("release", "tenant/a", "--reason", "done")
    made = [audit.read(one.value).data for one in shell.kafka.logs["mrs.audit"]]
    assert [(one.action, one.why, one.tenant) for one in made] == [("hold", "upgrade", "a"), ("release", "done", "a")]


def test_release_of_one_request_lets_it_out_of_a_quarantine(shell: _Shell) -> None:
    """It stands until it is lifted itself."""
    shell.put("all", "quarantine")
    shell.run("release", "request/r-1", "--reason", "checked")
    scope, control = shell.last
    assert (scope, control and control.mode) == ("request/r-1", "release")
    shell.run("release", "request/r-1")
    assert shell.last == ("request/r-1", None)


def test_drain_waits_for_the_last_job_that_runs(shell: _Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that wait, have ended, or run elsewhere do not count."""
    shell.job("r-1", jobs.State.RUNNING, cluster="c-1")
    shell.job("r-2", jobs.State.QUEUED, cluster="c-1")
    shell.job("r-3", jobs.State.RUNNING, cluster="c-2")
    looks = 0
    read = ledger.read

    async def counted(kafka: Any) -> list[jobs.Job]:
        nonlocal looks
        looks += 1
        if looks == 3:
            shell.job("r-1", jobs.State.SUCCEEDED, cluster="c-1", expires_ms=clock.SystemClock().now_ms())
        return await read(kafka)

    monkeypatch.setattr(ledger, "read", counted)
    shown = shell.run("drain", "cluster/c-1", "--reason", "upgrade", "--wait")
    assert "1 still run" in shown
    assert shown.rstrip().endswith("the last one has ended")
    assert looks == 3
