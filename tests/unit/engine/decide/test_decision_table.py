"""
Every state x every fact → state, events, command.

The table is complete: a combination that is missing from it fails, whether it moves the job or not.
"""

from __future__ import annotations

import typing

import msgspec
import pytest
from tests.unit.engine import samples
from tests.unit.engine.decide import decision_rows, decision_table

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import commands, facts, jobs
from mrs_relay.messages import events


def test_table_knows_every_state_and_every_fact() -> None:
    """The samples cover all states and all kinds of facts, and the table names no others."""
    assert {job.state for job in samples.JOBS.values() if job} == set(jobs.State)
    assert {type(fact) for fact in samples.FACTS.values()} == set(typing.get_args(facts.Fact))
    assert set(decision_table.TABLE) == set(samples.JOBS)
    assert {name for parts in decision_table.TABLE.values() for part in parts for name in part} == set(samples.FACTS)


def _row(job: jobs.Job | None, fact: facts.Fact) -> decision_rows.Row | None:
    decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)
    if decision is None:
        return None
    state = decision.job.state.value if decision.job else None
    published = tuple(event.data.state + "*" * event.data.repeated for event in decision.events)
    return state, published, decision.command


@pytest.mark.parametrize("name", samples.JOBS)
def test_fact_decides_state_events_and_command(name: str) -> None:
    """What each fact does to a job in a state is what the table says, or nothing; all cells that differ are shown."""
    found = {happened: _row(samples.JOBS[name], fact) for happened, fact in samples.FACTS.items()}
    wanted = {happened: decision_table.cell(name, happened) for happened in samples.FACTS}
    different = {happened: (row, wanted[happened]) for happened, row in found.items() if row != wanted[happened]}
    assert different == {}


@pytest.mark.parametrize("name", samples.JOBS)
def test_request_is_decided_whatever_its_offset(name: str) -> None:
    """At that of the job, before it or behind it: the job may have come in another topic, whose offsets say nothing."""
    for happened in ("request", "request, other payload", "invalid"):
        fact = samples.FACTS[happened]
        assert isinstance(fact, facts.Requested | facts.InvalidRequest)
        for offset in (0, 5, 8, 100):
            moved = msgspec.structs.replace(fact, job=msgspec.structs.replace(fact.job, order=offset))
            assert _row(samples.JOBS[name], moved) == decision_table.cell(name, happened)


@pytest.mark.parametrize("name", samples.JOBS)
def test_events_are_numbered_on_and_carry_the_request(name: str) -> None:
    """Whatever is reported continues the request's numbering, under its key, identity and correlation."""
    job = samples.JOBS[name]
    first = (job.sequence if job else 0) + 1
    for fact in samples.FACTS.values():
        decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)
        if decision is None or any(event.data.request.source == "/ops" for event in decision.events):
            continue
        assert [event.data.sequence for event in decision.events] == list(range(first, first + len(decision.events)))
        for event in decision.events:
            assert (event.key, event.time_ms, event.correlation_id) == (b"k", samples.NOW_MS, "run-7")
            assert (event.data.request.source, event.data.request.id) == ("/billing", "order-1")
            assert event.event_id.endswith(f"-{event.data.sequence}")
        assert decision.job is None or decision.job.sequence == first - 1 + len(decision.events)


@pytest.mark.parametrize("name", samples.JOBS)
def test_command_is_what_the_new_state_calls_for(name: str) -> None:
    """A command follows from the committed state alone, so a restart takes up what a fresh decision asked for."""
    job = samples.JOBS[name]
    before = commands.of(job) if job else None
    for fact in samples.FACTS.values():
        decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)
        if decision is None or decision.job is None:
            continue
        owed = commands.of(decision.job)
        assert decision.command in ({owed} if owed is not before else {owed, None})


def test_every_state_has_a_command_and_a_trait() -> None:
    """Both tables know every state; slots are held exactly while MRS may have the job."""
    assert set(commands.FOR_STATE) == set(jobs.TRAITS) == set(jobs.State)
    holding = {state for state, trait in jobs.TRAITS.items() if trait.holds_slot}
    states = jobs.State
    assert holding == {states.SUBMITTING, states.IN_DOUBT, states.SUBMITTED, states.RUNNING, states.CANCELLING}
    settled = {states.SUCCEEDED, states.FAILED, states.CANCELLED}
    ways_on = {states.REJECTED: {states.CHOOSING, states.QUEUED, states.REJECTED}, states.UNKNOWN: settled}
    for state, trait in jobs.TRAITS.items():
        assert trait.last is (commands.FOR_STATE[state] in {decision_rows.C.RELEASE, decision_rows.C.AWAIT_REQUEST})
        assert not trait.last or trait.next == ways_on.get(state, set())


@pytest.mark.parametrize("name", ["none", "awaited", "awaited, passed on"])
def test_who_wanted_what_never_came_is_reported_under_his_own_id(name: str) -> None:
    """A cancel or a settling without a request is rejected under its own id, as that message's first event."""
    published: list[events.Event] = []
    for fact in (samples.FACTS["settled"], samples.FACTS["expired"]):
        decision = transitions.decide(samples.JOBS[name], fact, samples.NOW_MS, samples.RULES)
        published += decision.events if decision else []
    assert {(event.data.request.source, event.data.request.id) for event in published} == (
        {("/ops", "s-1"), ("/ops", "c-1")} if name == "awaited" else {("/ops", "s-1")}
    )
    for event in published:
        assert (event.data.state, event.data.sequence, event.key) == ("rejected", 1, b"k")
        assert event.data.reason is not None
        assert (event.data.reason.kind, event.data.reason.code) == ("invalid", "unknown_request")
