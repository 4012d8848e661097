"""`mrs-relay why` and `status` say the same as the HTTP API, in words and as JSON."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich import console
from tests.unit.engine import samples
from tests.unit.read_model import test_why as made
from typer import testing

from mrs_relay import errors
from mrs_relay.cli import main, status, why
from mrs_relay.engine.model import jobs
from mrs_relay.messages import status as statuses
from mrs_relay.read_model import holds, status_board


def _job(**changes: Any) -> jobs.Job:
    return samples.request(**{"id": "r-1", "source": "/s", "cluster": "c-1", **changes})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the ledger and the topic hold: jobs, and a board; no Kafka is asked."""
    given: list[Any] = [[_job()], made.board(made.replica(), made.cluster(statuses.Cause("slots_taken"), before=1))]

    async def read(_kafka: object) -> tuple[list[jobs.Job], holds.Known]:
        return given[0], holds.Known(given[1])

    async def read_board(_kafka: object) -> status_board.StatusBoard:
        if given[1] is None:
            raise errors.SettingsError("Kafka has no topic mrs.status")
        board: status_board.StatusBoard = given[1]
        return board

    monkeypatch.setattr(why, "_read", read)
    monkeypatch.setattr(why, "read_board", read_board)
    monkeypatch.setattr("mrs_relay.common.clock.SystemClock.now_ms", lambda _self: made.NOW_MS)
    return given


def _run(*words: str) -> testing.Result:
    return testing.CliRunner().invoke(main.app, list(words))


def test_each_hold_is_a_line_with_what_clears_it(world: list[Any]) -> None:
    """For people: in order, with who says so."""
    assert world
    shown = _run("why", "r-1")
    assert shown.exit_code == 0
    lines = [line.strip() for line in shown.output.splitlines()]
    assert lines[0].startswith("r-1  queued, arrived ")
    assert lines[1].startswith("1  slots_taken  cluster c-1 has 0 of 0 slots taken")
    assert "clears: the end of one of these jobs" in lines
    assert "waits for: o-0" in lines
    assert "says: relay relay-1, 1.0s ago" in lines


def test_json_has_the_members_of_the_http_api(world: list[Any]) -> None:
    """One line for each request with the id."""
    world[0].append(_job(source="/other"))
    rows = [json.loads(line) for line in _run("why", "r-1", "--json").output.splitlines()]
    assert [(row["source"], [hold["code"] for hold in row["holds"]]) for row in rows] == [
        ("/s", ["slots_taken", "in_line"]),
        ("/other", ["slots_taken", "in_line"]),
    ]
    assert rows[0]["holds"][1]["requests"] == [{"source": "/s", "id": "o-0"}]
    assert len(_run("why", "r-1", "--source", "/s", "--json").output.splitlines()) == 1


def test_what_only_the_ledger_knows_is_told_too(world: list[Any]) -> None:
    """A time of its own that no relay names, jobs on MRS, and ended ones."""
    world[1] = made.board(made.replica())
    for job, code in (
        (_job(not_before_ms=made.NOW_MS + 5000), "not_before"),
        (_job(state=jobs.State.RUNNING, seen=jobs.MrsStatus("j-1", progress=40.0)), "on_mrs"),
        (_job(state=jobs.State.FAILED), "ended"),
        (_job(state=jobs.State.UNKNOWN), "unknown"),
    ):
        world[0] = [job]
        (row,) = [json.loads(line) for line in _run("why", "r-1", "--json").output.splitlines()]
        assert [hold["code"] for hold in row["holds"]] == [code]


def test_an_unknown_request_is_an_error(world: list[Any]) -> None:
    """Exit code 1, and what it may mean."""
    world[0] = []
    shown = _run("why", "none")
    assert shown.exit_code == 1
    assert "the ledger has no request 'none'" in shown.output


def test_the_overview_names_what_is_paused_and_what_waits(world: list[Any]) -> None:
    """Partitions, clusters, queues and budgets; what is stale has no owner."""
    pause = statuses.Pause(operation="StopJob", state="failing", code="http_503", text="?", until_ms=made.NOW_MS + 9000)
    budget = statuses.Budget(operation="CreateExecuteJob", per_minute=60, granted=30, used=7)
    paused = {"paused_until_ms": made.NOW_MS + 30_000, "paused_for": "throttled", "budgets": [budget]}

    world[1] = made.board(
        made.replica(**paused),
        made.cluster(statuses.Cause("mrs_paused"), pauses=[pause], slots_used=2, slots_limit=10),
        statuses.Partition(topic="in", partition=0, state="restoring", restored=0.5),
        statuses.Partition(topic="in", partition=7, state="running"),
    )

    shown = console.Console(file=io.StringIO(), width=200)
    shown.print(status.overview(world[1], made.NOW_MS, 200))
    output = shown.file.getvalue()  # type: ignore[attr-defined]

    for expected in (
        "1 relay: relay-1",
        "connection mrs is throttled: paused for 30s",
        "cluster c-1 is paused for 9.0s: StopJob failing, last answer http_503",
        "restoring 50%",
        "no owner",
        "2 of 10",
        "mrs_paused",
        "7 of 30",
    ):
        assert expected in output


def test_the_status_as_json_is_a_line_for_each_part(world: list[Any]) -> None:
    """With who reports it."""
    assert world
    rows = [json.loads(line) for line in _run("status", "--json").output.splitlines()]
    assert [row["kind"] for row in rows] == ["replica", "cluster"]
    assert (rows[1]["relay"], rows[1]["stale"], rows[1]["queues"][0]["waiting"]) == ("relay-1", False, 11)
    assert "no relay reports" not in _run("status").output


def test_without_the_topic_the_status_is_an_error(world: list[Any]) -> None:
    """It names the topic."""
    world[1] = None
    shown = _run("status")
    assert shown.exit_code == 2
    assert "mrs.status" in shown.output
