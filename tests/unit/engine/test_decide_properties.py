"""What holds for every sequence of facts, likely or not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine import samples

from mrs_relay.engine import commands, decide, facts, jobs
from mrs_relay.messages import events

_S = jobs.State

_WORKS = (samples.BATCH, samples.SPARK_SQL, samples.READ, samples.WRITE)

_FITTING: dict[jobs.State | None, tuple[str, ...]] = {
    None: ("request",),
    _S.REJECTED: ("request", "request, other payload", "invalid"),
    _S.QUEUED: ("turn",),
    _S.SUBMITTING: ("taken", "not taken", "in doubt", "statement queued", "statement running", "refused"),
    _S.DOUBTFUL: ("found", "not found"),
    _S.SUBMITTED: ("running", "succeeded", "killed", "statement running", "statement finished"),
    _S.RUNNING: ("progressed", "succeeded", "failed", "vanished", "statement failed"),
    _S.COLLECTING: ("collected",),
}
"""Facts that move a job on; drawn more often than the others, so that sequences get somewhere."""


class _Life:
    """One key's life: facts go in, everything that must hold is checked after each."""

    def __init__(self, work: jobs.Work) -> None:
        self.work = work
        self.job: jobs.Job | None = None
        self.order = 10
        self.now_ms = samples.NOW_MS
        self.sequence = 0
        self.may_submit = True

    def draw(self, data: st.DataObject) -> facts.Fact:
        """Choose what happens next."""
        self.now_ms += data.draw(st.sampled_from([0, 1, 1000, samples.RULES.remember_ms]))
        fitting = _FITTING.get(self.job.state if self.job else None, ("expired",))
        names = st.sampled_from(fitting) | st.sampled_from(sorted(samples.FACTS))
        fact = samples.FACTS[data.draw(names)]
        if isinstance(fact, facts.Requested | facts.Invalid):
            self.order += data.draw(st.integers(-1, 2))
            return self._renewed(fact)
        if isinstance(fact, facts.Observed):
            progress = data.draw(st.floats(0, 100))
            return facts.Observed(msgspec.structs.replace(fact.seen, progress=progress))
        return fact

    def _renewed(self, fact: facts.Requested | facts.Invalid) -> facts.Fact:
        if isinstance(fact, facts.Invalid):
            return facts.Invalid(msgspec.structs.replace(fact.job, order=self.order), fact.reason)
        return facts.Requested(samples.request(self.work, order=self.order, digest=fact.job.digest))

    def happen(self, fact: facts.Fact) -> None:
        """Decide, twice; compare; check; go on with what comes out of the ledger."""
        before = self.job
        decision = decide.decide(before, fact, self.now_ms, samples.RULES)
        assert decision == decide.decide(before, fact, self.now_ms, samples.RULES)
        if decision is None:
            return
        self._check_events(before, decision.events)
        self._check_state(before, decision.job, fact)
        self._check_submission(fact, decision)
        self.job = jobs.decode(jobs.encode(decision.job)) if decision.job else None
        assert self.job == decision.job

    def _check_events(self, before: jobs.Job | None, told: tuple[events.Event, ...]) -> None:
        for event in told:
            self.sequence += 1
            assert event.data.sequence == self.sequence
            key, value, headers = events.write(event, "/mrs-relay")
            assert events.read(value, headers).data == event.data
            assert key == b"k"
        if before is not None and jobs.TRAITS[before.state].last:
            anew = before.state is _S.REJECTED
            assert all(event.data.repeated or event.data.state == "rejected" or anew for event in told)

    def _check_state(self, before: jobs.Job | None, after: jobs.Job | None, fact: facts.Fact) -> None:
        if after is None:
            assert isinstance(fact, facts.Expired)
            assert before is not None
            assert jobs.TRAITS[before.state].last
            self.sequence = 0
            return
        assert after.sequence == self.sequence
        if before is None:
            assert isinstance(fact, facts.Requested | facts.Invalid)
            return
        if after.state is not before.state and not (before.state is _S.REJECTED and isinstance(fact, facts.Requested)):
            assert not jobs.TRAITS[before.state].last
        if jobs.TRAITS[after.state].last:
            assert after.expires_ms > 0
            assert after.work is None
        else:
            assert after.expires_ms == 0
        assert (after.work is not None) is (after.state in {_S.QUEUED, _S.SUBMITTING, _S.DOUBTFUL})
        assert (after.seen is not None) >= (after.state in {_S.SUBMITTED, _S.RUNNING, _S.COLLECTING})

    def _check_submission(self, fact: facts.Fact, decision: decide.Decision) -> None:
        """Between two submissions of one request stands the certainty that the first one had no effect."""
        harmless = isinstance(self.work, jobs.Presto) and self.work.repeatable
        if isinstance(fact, facts.NotTaken | facts.NotFound) or (isinstance(fact, facts.InDoubt) and harmless):
            self.may_submit = True
        if decision.job is None or decision.job.state is _S.REJECTED:
            self.may_submit = True
        if decision.command is commands.Command.SUBMIT:
            assert self.may_submit
            self.may_submit = False


@given(st.data(), st.sampled_from(_WORKS), st.integers(1, 40))
def test_every_sequence_of_facts_keeps_the_promises(data: st.DataObject, work: jobs.Work, length: int) -> None:
    """
    No sequence of facts leaves a last state, submits twice, skips a number or makes a move that is not in the table.

    Decisions are the same for the same arguments, each state survives the ledger, and nothing raises.
    """
    life = _Life(work)
    for _ in range(length):
        life.happen(life.draw(data))


@given(st.data(), st.sampled_from(_WORKS), st.integers(1, 25))
def test_recovery_after_every_sequence_is_sane(data: st.DataObject, work: jobs.Work, length: int) -> None:
    """A restart takes up what the state it finds calls for; what may have been sent before is not sent again."""
    life = _Life(work)
    for _ in range(length):
        life.happen(life.draw(data))
        if life.job is None:
            continue
        owed = decide.recover(life.job)
        if isinstance(owed, commands.Command):
            assert owed is commands.FOR_STATE[life.job.state]
            assert owed is not commands.Command.SUBMIT
        else:
            life.happen(owed)
            assert life.job.state is not _S.SUBMITTING


@given(st.data(), st.sampled_from(_WORKS))
def test_job_can_always_end(data: st.DataObject, work: jobs.Work) -> None:
    """From wherever it is, facts exist that bring a job to its last event."""
    life = _Life(work)
    for _ in range(data.draw(st.integers(0, 15))):
        life.happen(life.draw(data))
    way = ["request", "turn", "not found", "turn", "taken", "found", "vanished", "collected"]
    for name in way:
        fact = samples.FACTS[name]
        life.order += 1
        life.happen(facts.Requested(samples.request(work, order=life.order)) if name == "request" else fact)
    assert life.job is not None
    assert jobs.TRAITS[life.job.state].last


def test_reachable_states_are_all_states() -> None:
    """The facts above can reach every state, so none escapes the checks."""
    reached: set[jobs.State] = set()
    for work in _WORKS:
        frontier: list[jobs.Job | None] = [None]
        known: set[jobs.State] = set()
        while frontier:
            job = frontier.pop()
            for fact in samples.FACTS.values():
                renewed = facts.Requested(samples.request(work)) if isinstance(fact, facts.Requested) else fact
                decision = decide.decide(job, renewed, samples.NOW_MS, samples.RULES)
                if decision and decision.job and decision.job.state not in known:
                    known.add(decision.job.state)
                    frontier.append(decision.job)
        reached |= known
    assert reached == set(jobs.State)


@pytest.mark.parametrize("origin", jobs.State)
@pytest.mark.parametrize("target", jobs.State)
def test_only_moves_of_the_table_are_made(origin: jobs.State, target: jobs.State) -> None:
    """`moved` makes the moves of the table and refuses all others."""
    job = samples.request(state=origin)
    if target in jobs.TRAITS[origin].next:
        assert jobs.moved(job, target) == samples.request(state=target)
    else:
        with pytest.raises(ValueError, match="never moves"):
            jobs.moved(job, target)
