"""Each committed decision has one line of the log, and the page of logs names it."""

from __future__ import annotations

import ast
import logging
import pathlib
import re
import typing
from typing import Final

import msgspec
import structlog
from tests.support import spans
from tests.unit.engine import samples

import mrs_relay
from mrs_relay.engine import decision_log
from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import decisions, facts, jobs
from mrs_relay.messages import dead_letters, events

_PACKAGE: Final = pathlib.Path(mrs_relay.__file__).parent
_PAGE: Final = pathlib.Path(__file__).parents[3] / "docs/logs.md"
_ALWAYS_PUBLISH: Final = {
    facts.InvalidRequest,
    facts.ResolveRequested,
    facts.ClusterSelected,
    facts.NoClusterFits,
    facts.SubmissionAccepted,
    facts.CallReplied,
    facts.SubmissionRefused,
    facts.SubmissionFound,
    facts.ClusterObserved,
    facts.JobLost,
    facts.ResultCollected,
    facts.LogRead,
}
_CHANGE_NOTHING: Final = {facts.RejectionDue}
"""Decided as another fact, or not at all."""


def _decided() -> list[decision_log.Taken]:
    """Return all decisions of the table: every state x every fact, with and without logs that are read."""
    found = []
    for rules in (samples.RULES, samples.LOG_RULES):
        for before in samples.JOBS.values():
            for fact in samples.FACTS.values():
                decision = transitions.decide(before, fact, samples.NOW_MS, rules)
                if decision is not None:
                    found.append(decision_log.Taken(before, fact, decision))
    return found


def test_every_kind_of_decision_has_its_line() -> None:
    """A new word of an event, or a new fact, without a line is missing here."""
    assert set(decision_log.OF_EVENTS) == {*events.STATES, events.LATE_ROWS.rpartition(".")[2]}
    with_line, known = set(decision_log.OF_FACTS), set(typing.get_args(facts.Fact))
    assert with_line | _ALWAYS_PUBLISH | _CHANGE_NOTHING == known
    assert not with_line & (_ALWAYS_PUBLISH | _CHANGE_NOTHING)


def test_every_decision_has_one_line_for_each_event_or_one_of_its_own() -> None:
    """None is silent, none says its thing twice, and each names the request, or the message, that it is about."""
    for taken in _decided():
        written = list(decision_log.lines(taken))
        published = taken.decision.events
        assert len(written) == max(1, len(published)), taken
        assert decision_log.OTHER not in [one.line for one in written], taken
        about = {event.data.request.id for event in published} or {"order-1"}
        assert {one.fields["request"] for one in written} == about, taken


def test_decisions_without_an_event_are_those_of_the_table() -> None:
    """What always publishes does, and the table has no fact more than is needed for the rest."""
    silent = {type(taken.fact) for taken in _decided() if not taken.decision.events}
    assert not silent & _ALWAYS_PUBLISH
    assert silent | {facts.StatementObserved, facts.RowsRemoved} == set(decision_log.OF_FACTS)


def test_what_needs_a_person_is_an_error_and_what_ends_badly_a_warning() -> None:
    """Progress and what only keeps books are not written unless the level is DEBUG."""
    levels = {line.name: line.level for line in (*decision_log.OF_EVENTS.values(), *decision_log.OF_FACTS.values())}
    assert {name for name, level in levels.items() if level == decision_log.ERROR} == {"request_unresolved"}
    assert levels["request_failed"] == levels["submission_in_doubt"] == decision_log.WARNING
    assert levels["request_progressed"] == decision_log.DEBUG
    assert decision_log.DUPLICATES.level == decision_log.ERROR


def test_a_line_shows_what_identifies_and_nothing_of_the_work() -> None:
    """Request, attempt, cluster, MRS's id and the trace; the reason's class and code, and no text of it."""
    job = msgspec.structs.replace(samples.JOBS["running"], traceparent=spans.TRACEPARENT)  # type: ignore[type-var]
    fact = samples.FACTS["failed"]
    decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)

    assert decision is not None

    (one,) = decision_log.lines(decision_log.Taken(job, fact, decision))
    assert one.line.name == "request_failed"

    assert one.fields == {
        "request": "order-1",
        "source": "/billing",
        "state": "failed",
        "attempt": 1,
        "cluster": samples.CLUSTER,
        "job_id": samples.JOB_ID,
        "reason": "job_failed",
        "code": "job_result",
        "trace_id": f"{spans.TRACE:032x}",
    }


def test_a_submission_in_doubt_says_why_without_the_requests_values() -> None:
    """A gateway may quote what it was sent."""
    work = jobs.Batch("SparkSubmit", ("--customer=4711-secret",))
    job = msgspec.structs.replace(samples.JOBS["submitting"], work=work)  # type: ignore[type-var]
    fact = facts.SubmissionInDoubt("HTTP 502: cannot take --customer=4711-secret")
    decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)
    assert decision is not None
    (one,) = decision_log.lines(decision_log.Taken(job, fact, decision))
    assert (one.line.name, one.fields["error"]) == ("submission_in_doubt", "HTTP 502: cannot take …")


def test_copies_of_a_cancel_are_logged_once() -> None:
    """The partition that it was sent to has the line; the others' ones are below INFO."""
    levels = []
    for name in ("cancel", "cancel, passed"):
        fact = samples.FACTS[name]
        decision = transitions.decide(None, fact, samples.NOW_MS, samples.RULES)
        assert decision is not None
        levels += [one.line.level for one in decision_log.lines(decision_log.Taken(None, fact, decision))]
    assert levels == [decision_log.INFO, decision_log.DEBUG]


def test_lines_of_a_commit_are_written_in_its_order_and_dead_letters_behind_them() -> None:
    """With the partition, at their levels."""
    fact = samples.FACTS["request"]
    decision = transitions.decide(None, fact, samples.NOW_MS, samples.RULES)
    assert decision is not None

    letter = dead_letters.DeadLetter(
        key=None,
        value=None,
        headers=(),
        code="no_id",
        message="no id",
        topic="mrs.requests",
        partition=3,
        offset=7,
        timestamp_ms=0,
    )

    with structlog.testing.capture_logs() as logs:
        decision_log.write([decision_log.Taken(None, fact, decision)], [letter], 3)
    assert [(line["log_level"], line["event"], line["partition"]) for line in logs] == [
        ("info", "request_accepted", 3),
        ("warning", "dead_letter", 3),
    ]


def test_a_line_that_is_not_written_is_not_built() -> None:
    """At level ERROR a decision costs no more than the look at the level."""
    decision = decisions.Decision(None)
    taken = decision_log.Taken(None, facts.CancelMatched(), decision)
    assert list(decision_log.lines(taken, lambda level: level >= decision_log.ERROR)) == []


def _page() -> dict[str, set[str]]:
    """Return the levels of each line on the page; one level holds for all lines of a row, several for one each."""
    found: dict[str, set[str]] = {}
    for names, levels in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([A-Z, ]+) \|", _PAGE.read_text(), re.MULTILINE):
        known, kinds = re.findall(r"`(\w+)`", names), levels.split(", ")
        assert len(kinds) in {1, len(known)}, names
        for number, name in enumerate(known):
            found.setdefault(name, set()).add(kinds[number % len(kinds)])
    return found


def _written() -> dict[str, set[str]]:
    """Return the levels of each line that the modules of engine and kafka write by themselves."""
    found: dict[str, set[str]] = {}
    for path in (path for part in ("engine", "kafka") for path in (_PACKAGE / part).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=logger, attr="debug" | "info" | "warning" | "error" | "exception" as method
                    ),
                    args=[ast.Constant(value=str(name)), *_],
                ) if "log" in ast.unparse(logger):
                    found.setdefault(name, set()).add({"exception": "ERROR"}.get(method, method.upper()))
    return found


def test_the_page_of_logs_has_every_line_with_its_level() -> None:
    """The tables of the page are the table of decisions, and what else engine and kafka write."""
    lines = [*decision_log.OF_EVENTS.values(), *decision_log.OF_FACTS.values(), decision_log.ANSWERED]
    lines += [
        decision_log.REFUSED,
        decision_log.DUPLICATES,
        decision_log.STOP,
        decision_log.LETTER,
        decision_log.LOOKED,
    ]
    written = _written()
    for line in lines:
        assert line.name not in written, "a decision is logged in one place"
    assert _page() == written | {line.name: {logging.getLevelName(line.level)} for line in lines}
