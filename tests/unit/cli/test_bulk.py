"""`--where`: what matches is shown, confirmed, recorded and done, and each outcome is printed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.cli import fakes
from tests.unit.engine import samples
from typer import testing

from mrs_relay import errors
from mrs_relay.cli import bulk, connect, main, run
from mrs_relay.common import clock
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.kafka import topic_io
from mrs_relay.messages import audit, controls

_S = jobs.State
_REQUESTS, _LEDGER, _CONTROL, _AUDIT = "mrs.requests", "mrs.requests.ledger", "mrs.control", "mrs.audit"


class _Shell:
    def __init__(self, kafka: fakes.Kafka) -> None:
        self.kafka = kafka

    def run(self, *words: str, code: int = 0, answer: str | None = None) -> testing.Result:
        shown = testing.CliRunner().invoke(main.app, words, input=answer, env={"COLUMNS": "200"})
        assert shown.exit_code == code, (shown.output, shown.exception)
        return shown

    def outcomes(self, *words: str, code: int = 0) -> list[tuple[str, str]]:
        lines = self.run(*words, "--json", code=code).stdout.splitlines()
        return [(row["id"], row["outcome"]) for row in map(json.loads, lines)]

    def job(self, request_id: str, state: jobs.State, **changes: Any) -> None:
        """Put a message and its job."""
        data = {"cluster": "c-1", "engine": "spark", "statement": f"SELECT '{request_id}'"}
        message = {"id": request_id, "source": "/billing", "type": "mrs.sql.submit", "data": data}
        given = {"labels": {"team": "etl"}, "arrived_ms": clock.SystemClock().now_ms() - 60_000, "key": b"c-1"}
        order = len(self.kafka.logs[_REQUESTS])
        self.kafka.append(_REQUESTS, b"c-1", json.dumps(message).encode(), ())
        found = samples.request(**{"id": request_id, "state": state, "order": order, "sequence": 4, **given, **changes})
        self.kafka.append(_LEDGER, found.ledger_key, job_records.encode(found), ())

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The messages behind those of the jobs."""
        return [json.loads(one.value or b"") for one in self.kafka.logs[_REQUESTS][7:]]

    @property
    def control(self) -> dict[str, str | None]:
        """The mode of each control that was set; None: lifted."""
        found = [controls.read(one.key, one.value, 0) for one in self.kafka.logs[_CONTROL]]
        return {str(scope): control and control.mode for scope, control in found}

    @property
    def decided(self) -> list[tuple[str, str, str]]:
        """Action, subject and reason of each record."""
        found = [audit.read(one.value) for one in self.kafka.logs[_AUDIT]]
        return [(one.data.action, one.subject, one.data.why) for one in found]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> _Shell:
    """A ledger with a job in each of some states, in this order."""
    kafka = fakes.Kafka(lambda _request: [])
    kafka.reads_requests = False
    kafka.logs |= {_LEDGER: [], _CONTROL: [], _AUDIT: []}
    monkeypatch.setattr(connect, "broker", lambda _settings: kafka)
    made = _Shell(kafka)
    for number, state in enumerate((_S.QUEUED, _S.QUEUED, _S.RUNNING, _S.UNKNOWN, _S.FAILED, _S.SUCCEEDED), start=1):
        made.job(f"r-{number}", state)
    made.job("other", _S.QUEUED, labels={"team": "ads"}, arrived_ms=1_000)
    return made


def test_everything_that_matches_is_cancelled_and_what_cannot_be_is_passed_over(shell: _Shell) -> None:
    """Each gets a message with the reason and a record; what has ended is left alone, with a word."""
    found = shell.outcomes("cancel", "--where", "label.team=etl", "--reason", "wrong input", "--yes")
    assert sorted(found) == [
        *((f"r-{number}", "sent") for number in range(1, 5)),
        *((f"r-{number}", "passed") for number in (5, 6)),
    ]
    assert [(one["type"], one["data"]["request"]["id"]) for one in shell.sent] == [
        ("mrs.job.cancel", f"r-{number}") for number in range(1, 5)
    ]
    assert {one["data"]["note"] for one in shell.sent} == {"wrong input"}
    assert shell.decided == [("cancel", f"r-{number}", "wrong input") for number in range(1, 5)]


def test_it_is_shown_and_asked_first(shell: _Shell) -> None:
    """Count, states and a sample; anything but yes leaves all as it is."""
    words = ("cancel", "--where", "state=queued", "--reason", "why")
    shown = shell.run(*words, answer="n\n", code=1).output
    assert "3 match, cancel would concern 3" in shown
    assert "r-1" in shown
    assert "cancel 3 requests?" in shown
    assert shell.sent == []
    assert "3 looked at: 3 sent, 0 passed over" in shell.run(*words, answer="y\n").output
    assert len(shell.sent) == 3


@pytest.mark.parametrize(
    "words",
    [
        ("cancel",),
        ("resolve", "failed"),
        ("retry",),
        ("hold",),
        ("quarantine",),
        ("release",),
    ],
)
def test_a_dry_run_writes_nothing(shell: _Shell, words: tuple[str, ...]) -> None:
    """Not even a record of a decision: none was made."""
    before = {topic: len(log) for topic, log in shell.kafka.logs.items()}
    shown = shell.run(*words, "--where", "label.team=etl", "--reason", "why", "--dry-run")
    assert "6 match" in shown.output
    outcomes = {outcome for _, outcome in shell.outcomes(*words, "--where", "id=r-1", "--reason", "why", "--dry-run")}
    assert outcomes <= {"planned", "passed"}
    assert {topic: len(log) for topic, log in shell.kafka.logs.items()} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cancel", "--where", "state=queued"), "give the reason"),
        (("release", "--where", "state=queued", "--reason", " "), "give the reason"),
        (("cancel", "--where", "state=", "--reason", "why"), "expected NAME=VALUE"),
        (("cancel", "r-1", "--where", "state=queued", "--reason", "why"), "not both"),
        (("cancel",), "not both"),
        (("hold", "--reason", "why"), "not both"),
        (("cancel", "r-1", "--dry-run"), "belongs to --where"),
        (("hold", "all", "--reason", "why", "--dry-run"), "belongs to --where"),
        (("resolve", "r-4", "failed", "--reason", "why", "--dry-run"), "belongs to --where"),
        (("resolve", "r-1", "failed", "--where", "state=unknown", "--reason", "why"), "leave out ids"),
        (("resolve", "no-verdict", "--where", "id=r-4", "--reason", "why", "--yes"), "verdict"),
        (("cancel", "--where", "tenant=none", "--reason", "why"), "no tenant"),
    ],
)
def test_wrong_use_writes_nothing(shell: _Shell, words: tuple[str, ...], said: str) -> None:
    """A filter and a reason, or the name of one request."""
    shown = shell.run(*words, code=run.Code.USAGE)
    assert said in " ".join(shown.output.replace("│", " ").split())
    assert shell.sent == []
    assert shell.decided == []


def test_unknown_requests_are_settled_by_filter(shell: _Shell) -> None:
    """Each gets the verdict; others are passed over."""
    found = shell.outcomes("resolve", "succeeded", "--where", "label.team=etl", "--reason", "looked, Ann", "--yes")
    assert [one for one, outcome in found if outcome == "sent"] == ["r-4"]
    assert [one["data"]["verdict"] for one in shell.sent] == ["succeeded"]
    assert shell.decided == [("resolve", "r-4", "looked, Ann")]


def test_failed_requests_are_sent_again_as_they_stood(shell: _Shell) -> None:
    """Under an id that follows from the old one and its last event, so that a repetition starts nothing twice."""
    found = shell.outcomes("retry", "--where", "label.team=etl", "--reason", "input was late", "--yes")
    assert [one for one, outcome in found if outcome == "sent"] == ["r-5"]
    (again,) = shell.sent
    assert (again["id"], again["source"], again["correlationid"]) == ("r-5-retry-4", "/billing", "r-5")
    assert again["data"]["statement"] == "SELECT 'r-5'"
    assert shell.kafka.logs[_REQUESTS][-1].key == b"c-1"
    assert shell.decided == [("retry", "r-5", "input was late")]


def test_a_message_that_has_left_its_topic_is_passed_over(shell: _Shell) -> None:
    """Something else at its place is not sent in its stead."""
    shell.job("gone", _S.FAILED, order=3)
    shown = shell.run("retry", "gone", code=run.Code.FAILED)
    assert "has left topic mrs.requests" in shown.output
    assert len(shell.sent) == 1  # the message of `gone` itself


def test_one_request_is_retried_by_its_id(shell: _Shell) -> None:
    """Nothing is asked; an id that no ledger or several requests have is said."""
    assert "sent again as r-5-retry-4" in shell.run("retry", "r-5").output
    assert "no ledger has a request 'nothing'" in shell.run("retry", "nothing", code=1).output
    assert "expected one that has" in shell.run("retry", "r-6", code=1).output
    shell.job("r-5", _S.FAILED, source="/other")
    assert "add --source" in shell.run("retry", "r-5", code=1).output
    assert len(shell.decided) == 1


def test_requests_that_wait_are_held_and_released_one_by_one(shell: _Shell) -> None:
    """Each has a control of its own scope; what runs is passed over."""
    words = ("--where", "label.team=etl", "--reason", "input is late", "--yes")
    found = dict(shell.outcomes("hold", *words, "--until", "2h"))
    assert {one for one, outcome in found.items() if outcome == "sent"} == {"r-1", "r-2"}
    assert shell.control == {"request/r-1": "hold", "request/r-2": "hold"}
    shell.run("release", *words)
    assert shell.control == {"request/r-1": None, "request/r-2": None}
    assert [action for action, _, _ in shell.decided] == ["hold", "hold", "release", "release"]


def test_requests_are_let_out_of_a_wider_quarantine(shell: _Shell) -> None:
    """A control of their own lets them out; those that a wider hold keeps are said, and stay."""
    shell.run("quarantine", "label/team=etl", "--reason", "wrong input")
    shell.run("hold", "label/team=ads", "--reason", "later")
    rows = shell.run("release", "--where", "state=queued", "--reason", "checked", "--yes", "--json").stdout.splitlines()
    found = {row["id"]: (row["outcome"], row["text"]) for row in map(json.loads, rows)}
    assert found["r-1"] == ("sent", "released from the quarantine")
    assert found["other"][0] == "passed"
    assert "hold of label/team=ads" in found["other"][1]
    assert shell.control["request/r-1"] == "release"
    again = shell.outcomes("release", "--where", "id=r-1", "--reason", "checked", "--yes")
    assert again == [("r-1", "passed")]


def test_many_go_step_by_step_and_what_was_not_written_is_said(shell: _Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress after each step; an error of Kafka ends it with the outcome of each request and its own exit code."""
    monkeypatch.setattr(bulk, "_STEP", 2)
    words = ("cancel", "--where", "label.team=etl", "--reason", "why", "--yes")
    assert "2 of 4 done" in shell.run(*words).stderr

    send, calls = topic_io.send, 0

    async def failing(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:  # records and messages of the first step, records of the second
            raise errors.StreamDown("Kafka is away")
        await send(*arguments)

    monkeypatch.setattr(topic_io, "send", failing)
    found = shell.outcomes(*words, code=run.Code.UNREACHABLE)
    assert [outcome for _, outcome in found if outcome != "passed"] == ["sent", "sent", "failed", "failed"]
