"""submit, watch, jobs and topics as processes, against the embedded broker, an emulator and a relay."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import brokers, child, ports, service
from tests.support.waiting import LIMIT_S

pytestmark = pytest.mark.embedded

_RELAY = [sys.executable, "-m", "mrs_relay"]
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SQL = ["submit", "sql", "--cluster", service.CLUSTER, "--engine", "spark"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def lines(self) -> list[Any]:
        """Return standard output as JSON lines; every line must be one."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class Here:
    """A deployment with a relay that runs."""

    deployment: service.Deployment
    emulator: service.Emulator

    def run(self, *words: str, stdin: str = "", env: dict[str, str] | None = None) -> Shown:
        """Run a command to its end."""
        environment = {**self.deployment.environment(), **(env or {})}
        done = child.run([*_RELAY, *words], stdin=stdin, env=environment, timeout_s=LIMIT_S)
        return Shown(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def here(embedded: brokers.TansuNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """One relay for all tests of this module."""
    workdir = tmp_path_factory.mktemp("cli")
    data = workdir / "data"
    data.mkdir()
    (data / "fruit.csv").write_text("name,price\napple,3\npear,4\n")
    with service.emulator(workdir, "--data", str(data), "--speed", "10", "--run-s", "1") as playing:
        deployment = service.Deployment(
            embedded.bootstrap, f"cli-{uuid.uuid4().hex[:6]}", playing.url, workdir, guarantee="at-least-once"
        )
        deployment.create_topics(3)
        relay = deployment.start_relay("one")
        try:
            yield Here(deployment, playing)
        finally:
            relay.stop()


def test_submit_and_wait_shows_the_rows_and_exits_0(here: Here) -> None:
    """The id first, a line for each change, the rows at the end."""
    shown = here.run(
        *_SQL, "-s", "SELECT * FROM fruit ORDER BY price", "--id", "rows", "--wait", "--timeout", f"{LIMIT_S:.0f}s"
    )
    assert shown.code == 0, shown
    assert shown.out.splitlines()[0] == "rows"
    assert [word for word in ("accepted", "submitted", "succeeded", "apple", "2 rows") if word not in shown.out] == []


def test_waiting_with_json_prints_events_and_nothing_else(here: Here) -> None:
    """Every line is a CloudEvent, from the first to the last, in order."""
    shown = here.run(*_SQL, "-s", "SELECT 1 AS one", "--id", "json", "--label", "team=a", "--wait", "--json")
    events = shown.lines()
    assert shown.code == 0
    assert [event["data"]["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "mrs.sql.accepted"
    assert events[-1]["type"] == "mrs.sql.succeeded"
    assert events[-1]["data"]["labels"] == {"team": "a"}
    assert events[-1]["data"]["result"]["statements"][0]["rows"] == [{"one": 1}]


def test_a_failed_job_exits_1_with_the_reason(here: Here) -> None:
    """The reason stands on standard error."""
    shown = here.run(
        *("submit", "job", "--cluster", service.CLUSTER, "--type", "SparkSubmit", "--name", "etl-fail", "--wait")
    )
    assert shown.code == 1
    assert re.search(r"failed: job_result", shown.err)


def test_a_rejected_request_exits_1_with_the_reason(here: Here) -> None:
    """What `--no-validate` lets through, the relay rejects."""
    shown = here.run(
        "submit", "sql", "--cluster", service.CLUSTER, "--engine", "spork", "-s", "x", "--no-validate", "-w"
    )
    assert shown.code == 1
    assert re.search(r"rejected: bad_value", shown.err)


def test_waiting_ends_when_the_time_is_up(here: Here) -> None:
    """Exit 1, and the message says how it stands."""
    shown = here.run(
        *("submit", "job", "--cluster", service.CLUSTER, "--type", "Flink", "--name", "stuck", "--timeout", "3s")
    )
    assert shown.code == 1
    assert re.search(r"not ended within 3 s \((still (accepted|submitted|running)|no event at all)\)", shown.err)


def test_a_file_of_lines_is_sent_whole_and_waited_for(here: Here) -> None:
    """Three messages on standard input, three ids, all succeed."""
    lines = [
        json.dumps({"id": f"line-{number}", "type": "mrs.sql.submit", "data": _data(f"SELECT {number} AS n")})
        for number in range(3)
    ]
    shown = here.run("submit", "file", "-", "--wait", stdin="\n".join(lines))
    assert shown.code == 0, shown
    assert shown.out.splitlines()[:3] == ["line-0", "line-1", "line-2"]


def test_without_waiting_it_ends_once_kafka_has_the_message(here: Here) -> None:
    """`--json` names what was sent."""
    shown = here.run(*_SQL, "-s", "SELECT 1", "--id", "fire", "--json")
    assert (shown.code, shown.lines()) == (
        0,
        [{"id": "fire", "source": "/mrs-relay/cli", "type": "mrs.sql.submit"}],
    )


def test_the_same_request_twice_is_one_job(here: Here) -> None:
    """The second submission waits for, and gets, the state of the first."""
    wanted = (*_SQL, "-s", "SELECT 41 + 1 AS answer", "--id", "twice", "--name", "twice", "--wait")
    assert here.run(*wanted).code == 0
    again = here.run(*wanted, "--json")
    assert again.code == 0
    assert again.lines()[0]["data"]["repeated"] is True
    assert len([one for one in here.emulator.effects() if one["name"].startswith("twice-")]) == 1


def test_jobs_shows_what_the_ledger_holds_and_no_sql(here: Here) -> None:
    """State, MRS id and reason of each job; statements and arguments never."""
    assert here.run(*_SQL, "-s", "SELECT 'hush' AS secret", "--id", "ledger", "--wait").code == 0
    shown = here.run("jobs", "--json", "--id", "ledger")
    (job,) = shown.lines()
    assert (job["state"], job["type"], job["cluster"]) == ("succeeded", "sql", service.CLUSTER)
    assert job["job_id"]
    table = here.run("jobs", "--state", "succeeded")
    assert "ledger" in table.out
    assert "hush" not in shown.out + table.out


def test_why_and_status_say_what_waits_from_kafka_alone(here: Here) -> None:
    """Without the web role: the ledger has the request, the relay reports its partitions and its own moment."""
    sent = here.run(*_SQL, "-s", "SELECT 'hush'", "--id", "later", "--not-before", "2099-01-01T00:00:00Z")
    assert sent.code == 0
    deadline_s = time.monotonic() + LIMIT_S
    while not (rows := here.run("why", "later", "--json").lines()) or "relay" not in rows[0]["holds"][0]:
        assert time.monotonic() < deadline_s, rows
    (hold,) = rows[0]["holds"]
    assert (hold["code"], hold["earliest_at"]) == ("not_before", "2099-01-01T00:00:00.000Z")
    shown = here.run("why", "later")
    assert "not before: 2099-01-01" in shown.out
    assert here.run("why", "nobody").code == 1

    parts = here.run("status", "--json").lines()
    assert {one["partition"] for one in parts if one["kind"] == "partition" and one["state"] == "running"} == {0, 1, 2}
    overview = here.run("status")
    assert "1 relay: " in overview.out
    assert "hush" not in shown.out + overview.out + json.dumps(parts)


def test_watch_from_the_beginning_ends_after_so_many_requests(here: Here) -> None:
    """`--until-done` makes it a tool for scripts; the filter keeps others out."""
    assert here.run(*_SQL, "-s", "SELECT 1", "--id", "watched", "--wait").code == 0
    shown = here.run("watch", "--from", "beginning", "--id", "watched", "--until-done", "1", "--json")
    assert shown.code == 0
    assert {event["data"]["request"]["id"] for event in shown.lines()} == {"watched"}
    assert shown.lines()[-1]["data"]["state"] == "succeeded"


@pytest.mark.parametrize("number", _ENDING)
def test_watch_ends_quietly_on_interrupt(here: Here, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C is how one leaves, or SIGTERM, or closing the terminal: exit 0, no stack."""
    assert here.run(*_SQL, "-s", "SELECT 1", "--id", f"left-{number}", "--wait").code == 0
    log = tmp_path / "watch.txt"
    words = [*_RELAY, "watch", "--from", "1h", "--id", f"left-{number}"]
    watcher = child.Child(words, log=log, env=here.deployment.environment())
    watcher.wait_ready(lambda: "succeeded" in log.read_text(), timeout_s=LIMIT_S)
    shown = log.read_text()
    watcher.send(number)
    assert watcher.wait(LIMIT_S) == 0
    assert log.read_text() == shown


@pytest.mark.parametrize("number", _ENDING)
def test_whoever_waits_may_leave(here: Here, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a closed terminal end `submit --wait` with 130 and a word on how to follow what was sent."""
    log = tmp_path / "submit.txt"
    pause = {"MRS_RELAY_ENGINE__POLL_INTERVAL_S": "0.3"}
    words = ["submit", "job", "--cluster", service.CLUSTER, "--type", "SparkSubmit", "--id", f"gone-{number}", "--wait"]
    waiting = child.Child([*_RELAY, *words], log=log, env={**here.deployment.environment(), **pause})
    waiting.wait_ready(lambda: "accepted" in log.read_text(), timeout_s=LIMIT_S)
    waiting.send(number)
    assert waiting.wait(LIMIT_S) == 130
    assert f"mrs-relay watch --from 1h --id gone-{number}" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_watch_draws_a_table_on_a_terminal(here: Here) -> None:
    """On a terminal there is a live table with head, states and counts."""
    assert here.run(*_SQL, "-s", "SELECT 1", "--id", "drawn", "--wait").code == 0

    leader, follower = pty.openpty()
    watcher = subprocess.Popen(
        child.tied_to_tests([*_RELAY, "watch", "--from", "beginning", "--id", "drawn", "--until-done", "1"]),
        env={**here.deployment.environment(), "TERM": "xterm", "COLUMNS": "140", "LINES": "30"},
        stdout=follower,
        stderr=follower,
    )

    os.close(follower)
    shown = b""

    with contextlib.suppress(OSError):  # Linux ends a terminal whose last user has gone with EIO
        while piece := os.read(leader, 65_536):
            shown += piece

    os.close(leader)
    assert watcher.wait(LIMIT_S) == 0

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert [word for word in ("request", "progress", "drawn", "1 succeeded") if word not in text] == []


def test_topics_are_found_sound_and_missing_ones_named(here: Here) -> None:
    """`check` is quiet about good topics and names what is missing and the command that helps."""
    good = here.run("topics", "check", "--json")
    assert (good.code, good.lines()[0]["ok"]) == (0, True)
    bad = here.run("topics", "check", env={"MRS_RELAY_KAFKA__TOPICS__EVENTS": f"none-{time.time_ns()}"})
    assert bad.code == 1
    assert "mrs-relay topics create" in bad.out


def test_check_looks_at_settings_kafka_topics_and_mrs(here: Here) -> None:
    """All five are looked at; a relay with these settings can work."""
    shown = here.run("check", "--json")
    assert shown.code == 0, shown
    assert {one["what"] for one in shown.lines()} == {"settings", "kafka", "codecs", "topics", "mrs"}
    assert service.CLUSTER in shown.out


def test_check_names_what_cannot_be_reached(here: Here) -> None:
    """An MRS that does not answer is exit 3, and the address is told."""
    nowhere = f"http://127.0.0.1:{ports.free_port()}"
    shown = here.run("check", env={"MRS_RELAY_MRS__ENDPOINT": nowhere})
    assert shown.code == 3
    assert "✗ mrs" in shown.out


@pytest.mark.parametrize(
    "words", [("watch",), ("jobs",), ("status",), ("why", "r-1"), ("topics", "check"), (*_SQL, "-s", "SELECT 1")]
)
def test_without_kafka_a_command_ends_with_3_and_names_the_setting(here: Here, words: tuple[str, ...]) -> None:
    """One line with the address and the variable, no stack."""
    nowhere = f"127.0.0.1:{ports.free_port()}"
    shown = here.run(*words, "--bootstrap", nowhere)
    assert shown.code == 3
    assert nowhere in shown.err
    assert "MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS" in shown.err
    assert len(shown.err.splitlines()) == 1


@pytest.mark.parametrize("number", _ENDING)
def test_emulate_prints_what_a_relay_needs_and_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """The address is in the first lines; SIGTERM, Ctrl-C and a closed terminal are a good end."""
    log = tmp_path / "emulate.txt"
    emulator = child.Child([*_RELAY, "emulate", "--port", "0"], log=log)
    emulator.wait_ready(lambda: "MRS_RELAY_MRS__ENDPOINT=http://127.0.0.1:" in log.read_text(), timeout_s=LIMIT_S)
    emulator.send(number)
    assert emulator.wait(LIMIT_S) == 0


def test_emulate_says_in_one_line_why_it_cannot_start(tmp_path: Path) -> None:
    """A taken port is a setting to change, not a stack."""
    with child_on_port(tmp_path) as port:
        done = child.run([*_RELAY, "emulate", "--port", str(port)], timeout_s=LIMIT_S)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


@contextlib.contextmanager
def child_on_port(tmp_path: Path) -> Iterator[int]:
    """Yield a port that somebody listens on."""
    with service.emulator(tmp_path) as playing:
        yield int(playing.url.rpartition(":")[2])


def _data(statement: str) -> dict[str, str]:
    return {"cluster": service.CLUSTER, "engine": "spark", "statement": statement}
