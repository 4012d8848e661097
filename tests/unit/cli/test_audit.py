"""Decisions on the command line are on record, before anything is sent, and can be listed."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from tests.unit.cli import fakes
from typer import testing

from mrs_relay.cli import connect, main
from mrs_relay.messages import audit

_TOPIC = "mrs.audit"


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> fakes.Kafka:
    """Topics of requests and decisions, empty."""
    made = fakes.Kafka(lambda _request: [])
    made.logs[_TOPIC] = []
    monkeypatch.setattr(connect, "broker", lambda _settings: made)
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    return made


def _run(*words: str) -> Any:
    shown = testing.CliRunner().invoke(main.app, words)
    assert shown.exit_code == 0, (shown.output, shown.exception)
    return shown


def test_a_cancel_and_a_verdict_are_on_record_with_user_host_and_reason(kafka: fakes.Kafka) -> None:
    """And lead to the message, whose events tell what came of it."""
    _run("cancel", "r-1", "--key", "c-1", "--note", "wrong date")
    _run("resolve", "r-2", "failed", "--key", "c-1", "--note", "looked")
    first, second = [audit.read(record.value) for record in kafka.logs[_TOPIC]]
    sent = [json.loads(record.value or b"")["id"] for record in kafka.logs["mrs.requests"]]
    assert first.sender is not None
    assert (first.sender.authid, first.sender.authtype) == (f"ann@{socket.gethostname()}", "user")
    data = first.data
    assert (data.action, data.via, data.place, data.why) == ("cancel", "cli", socket.gethostname(), "wrong date")
    assert data.what == {"id": "r-1", "source": "/mrs-relay/cli"}
    assert (second.data.action, second.data.after, second.subject) == ("resolve", {"verdict": "failed"}, "r-2")
    assert [first.data.message, second.data.message] == sent


def test_a_decision_names_the_tenant_of_its_request(kafka: fakes.Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP callers see the decisions on their tenants; those of the command line must be among them."""
    monkeypatch.setenv("MRS_RELAY_TENANTS__ETL__REQUESTS", "etl.requests")
    kafka.logs["etl.requests"] = []
    _run("cancel", "r-1", "--key", "c-1", "--note", "late", "--tenant", "etl")
    _run("resolve", "r-1", "failed", "--key", "c-1", "--note", "looked", "--tenant", "etl")
    _run("cancel", "r-1", "--key", "c-1", "--note", "late")  # the only tenant need not be named
    assert [audit.read(record.value).data.tenant for record in kafka.logs[_TOPIC]] == ["etl", "etl", "etl"]


def test_decisions_are_listed_by_what_they_are_and_whom_they_concern(kafka: fakes.Kafka) -> None:
    """One JSON text a line for programs, a table for people; records of others are passed over."""
    _run("cancel", "r-1", "--key", "c-1", "--note", "wrong date")
    _run("cancel", "r-2", "--key", "c-1")
    kafka.append(_TOPIC, b"k", b"no record", ())
    rows = [json.loads(line) for line in _run("audit", "--since", "36500d", "--json").stdout.splitlines()]
    assert [one["subject"] for one in rows] == ["r-1", "r-2"]
    assert rows[0]["type"] == "mrs.audit.cancel"
    one = _run("audit", "--since", "36500d", "--id", "r-1", "--action", "cancel").stdout
    assert "wrong date" in one
    assert "r-2" not in one
    assert "no decision" in _run("audit", "--since", "36500d", "--by", "somebody").stdout


def test_without_the_topic_the_command_works_and_says_that_nothing_is_kept(kafka: fakes.Kafka) -> None:
    """The output for programs stays as it is."""
    del kafka.logs[_TOPIC]
    shown = _run("cancel", "r-1", "--key", "c-1", "--json")
    assert json.loads(shown.stdout)["type"] == "mrs.job.cancel"
    assert "Kafka has no topic mrs.audit" in shown.stderr
