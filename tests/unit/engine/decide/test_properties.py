"""What holds for every sequence of facts, likely or not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import cells
from tests.unit.engine import samples
from tests.unit.engine.decide import fitting_facts

from mrs_relay.engine.decide import internal_errors, transitions
from mrs_relay.engine.model import commands, decisions, facts, job_records, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import event_reader, events

_S = jobs.State
_SETTLED = (_S.SUCCEEDED, _S.FAILED, _S.CANCELLED)

_WORKS = (
    samples.BATCH,
    samples.SPARK_SQL,
    samples.READ,
    samples.WRITE,
    samples.CALL,
    samples.DELETING_CALL,
    samples.WRITING_CALL,
    samples.CREATION,
    samples.RESIZE,
)

_RETRIES = (
    None,
    jobs.Retry(3, 0.0, ("job_failed", "job_killed", "refused")),
    jobs.Retry(2, 30.0, ("job_failed",)),
    jobs.Retry(3, 30.0, ("preempted",)),
)
_DEADLINES_S = (0.0, 1.0, 5e6)
_WISHES = frozenset({"cancel", "cancel by another", "cancel, passed", "due"})


class _Life:
    """One key's life: facts go in, everything that must hold is checked after each."""

    def __init__(
        self,
        work: jobs.Work,
        retry: jobs.Retry | None = None,
        deadline_s: float = 0.0,
        rules: decisions.DecisionConfig = samples.RULES,
        *,
        wished: bool = True,
    ) -> None:
        self.rules = rules
        self.work = work
        self.wished = wished
        retry = None if isinstance(work, jobs.Call) else retry  # as requests of calls and clusters have none
        self.wants = {"retry": retry, "queue_deadline_s": deadline_s, "run_deadline_s": deadline_s}
        self.names: set[str] = set()
        self.attempt = 0
        self.on_mrs = False
        self.job: jobs.Job | None = None
        self.order = 10
        self.now_ms = samples.NOW_MS
        self.sequence = 0
        self.may_submit = True
        self.lost = 0
        self.may_hide = False

    def draw(self, data: st.DataObject) -> facts.Fact:
        """Choose what happens next."""
        self.now_ms += data.draw(st.sampled_from([0, 1, 1000, 1000, samples.RULES.remember_ms]))
        fitting = fitting_facts.OF_STATE.get(self.job.state if self.job else None, ("expired",))
        everything = sorted(set(samples.FACTS) - (set() if self.wished else _WISHES))
        moving = [name for name in fitting if self.wished or name not in _WISHES]
        names = st.sampled_from(moving) | st.sampled_from(moving) | st.sampled_from(everything)
        fact = samples.FACTS[data.draw(names)]
        if isinstance(fact, facts.Requested | facts.InvalidRequest):
            self.order += data.draw(st.integers(-1, 2))
            return self._renewed(fact)
        if isinstance(fact, facts.CancelRequested):
            return msgspec.structs.replace(fact, by=data.draw(st.sampled_from(["c-1", "c-2", "c-3"])))
        if isinstance(fact, facts.ResolveRequested):
            return msgspec.structs.replace(fact, verdict=data.draw(st.sampled_from(sorted(_SETTLED))))
        if isinstance(fact, facts.JobObserved):
            progress = data.draw(st.floats(0, 100))
            return facts.JobObserved(msgspec.structs.replace(fact.seen, progress=progress))

        return self.fitted(fact)

    def fitted(self, fact: facts.Fact) -> facts.Fact:
        """Return a fact about a log as one of the present attempt."""
        if isinstance(fact, facts.LogRead) and self.job is not None:
            return msgspec.structs.replace(fact, attempt=self.job.attempt)
        return fact

    def _renewed(self, fact: facts.Requested | facts.InvalidRequest) -> facts.Fact:
        if isinstance(fact, facts.InvalidRequest):
            return facts.InvalidRequest(msgspec.structs.replace(fact.job, order=self.order), fact.reason)
        asked = fact.job
        asks: dict[str, Any] = {"state": asked.state, "choice": asked.choice, "cluster": asked.cluster}
        asks |= {"order": self.order, "digest": asked.digest}
        return facts.Requested(samples.request(self.work, **asks, **self.wants))

    def happen(self, fact: facts.Fact) -> None:
        """Decide, twice; compare; check; continue with what comes out of the ledger."""
        before = self.job
        decision = transitions.decide(before, fact, self.now_ms, self.rules)
        assert decision == transitions.decide(before, fact, self.now_ms, self.rules)

        if decision is None:
            return

        ours = tuple(event for event in decision.events if event.data.request.source == "/billing")
        self._check_messages(before, fact, decision, ours)
        self._check_events(before, ours)
        self._check_state(before, decision.job, fact)
        if isinstance(fact, facts.InternalFailure) and before is not None and before.state is _S.SUBMITTING:
            fact = internal_errors.as_doubt(fact)  # that is what it means for a submission
        self._check_lost(before, fact, decision)
        self._check_cancelled(before, fact, ours)
        self._check_submission(fact, decision)
        self.job = job_records.decode(job_records.encode(decision.job)) if decision.job else None

        assert self.job == decision.job

    def _check_messages(
        self,
        before: jobs.Job | None,
        fact: facts.Fact,
        decision: decisions.Decision,
        ours: tuple[events.Event, ...],
    ) -> None:
        """Check that messages are passed on only by who got them first, back only to where a cancel came from."""
        for event in decision.events:
            if event not in ours:
                assert (event.data.state, event.data.sequence) == ("rejected", 1)
                assert isinstance(fact, facts.ResolveRequested | facts.Expired | facts.CancelRequested)
        assert not decision.pass_on or (isinstance(fact, facts.CancelRequested) and fact.came_from < 0)
        if decision.pass_back >= 0:
            asked = isinstance(fact, facts.CancelRequested) and fact.came_from == decision.pass_back
            waited = before is not None and before.state is _S.PENDING_CANCEL and before.came_from == decision.pass_back
            assert asked or waited
            assert decision.job is not None
            assert decision.job.state is not _S.PENDING_CANCEL

    def _check_cancelled(self, before: jobs.Job | None, fact: facts.Fact, published: tuple[events.Event, ...]) -> None:
        """Check that `cancelled` is the truth: MRS has nothing of the job, or shows it stopped, or a person says so."""
        for event in published:
            if event.data.state != "cancelled" or event.data.repeated:
                continue
            confirmed = isinstance(fact, facts.JobObserved) and fact.seen.job_result == "KILLED"
            confirmed |= (
                isinstance(fact, facts.StatementObserved)
                and fact.seen.job_state == "FAILED"
                and before is not None
                and before.state is _S.CANCELLING
            )
            confirmed |= isinstance(fact, facts.LogRead | facts.InternalFailure) and _was_killed(before)
            nothing = not self.may_hide and (not self.on_mrs or self._is_without_effect(fact))
            assert confirmed or isinstance(fact, facts.ResolveRequested) or nothing

    def _check_lost(self, before: jobs.Job | None, fact: facts.Fact, decision: decisions.Decision) -> None:
        """Check that replies are lost a bounded number of times in an attempt, and no possible effect is denied."""
        if isinstance(fact, facts.SubmissionInDoubt):
            self.lost += 1
            assert before is not None
            searched = kinds.of(before).is_findable(before)
            self.may_hide |= not searched and not (isinstance(self.work, jobs.Call) and self.work.reads)
            sure = searched or not self.may_hide
            assert self.lost <= (samples.RULES.resubmit_attempts if sure else samples.RULES.repeat_attempts)
            assert decision.job is not None
            waits = decision.job.state is _S.QUEUED and decision.job.not_before_ms > self.now_ms
            harmless = decision.job.state is _S.CANCELLED and before.stop is not None and not self.may_hide
            assert waits or harmless or decision.job.state in {_S.IN_DOUBT, _S.UNKNOWN}

        for event in decision.events:
            if event.data.repeated or event.data.state == "rejected" or isinstance(fact, facts.ResolveRequested):
                continue
            assert not self.lost or event.data.attempt > 0
            if self.may_hide and event.data.reason is not None:
                assert "not submitted" not in event.data.reason.message
                is_refused = isinstance(fact, facts.SubmissionRefused) and event.data.state == "failed"
                assert not is_refused or before is None or before.subject != "call"

        if decision.job is None or any(event.data.state in {"accepted", "retrying"} for event in decision.events):
            self.lost = 0
        if decision.job is None or decision.job.state in {_S.REJECTED, _S.PENDING_CANCEL}:
            self.may_hide = False

    def _is_without_effect(self, fact: facts.Fact) -> bool:
        reads = isinstance(self.work, jobs.Call) and self.work.reads
        return isinstance(fact, facts.SubmissionNotApplied | facts.SubmissionNotFound) or (
            isinstance(fact, facts.SubmissionInDoubt) and reads
        )

    def _may_be_repeated(self, fact: facts.Fact) -> bool:
        harmless = isinstance(self.work, jobs.Presto | jobs.Call) and self.work.repeatable
        return self._is_without_effect(fact) or (isinstance(fact, facts.SubmissionInDoubt) and harmless)

    def _check_events(self, before: jobs.Job | None, published: tuple[events.Event, ...]) -> None:
        for event in published:
            self.sequence += 1
            assert event.data.sequence == self.sequence
            key, value, headers = events.write(event, "/mrs-relay")
            assert events.body(event_reader.read(value, headers).data) == event.data
            assert key == b"k"
        if before is not None and jobs.TRAITS[before.state].last:
            begins = before.state in {_S.REJECTED, _S.PENDING_CANCEL}
            settled = before.state is _S.UNKNOWN and len(published) == 1 and published[0].data.state in _SETTLED
            assert (
                begins or settled or all(event.data.repeated or event.data.state == "rejected" for event in published)
            )

    def _check_state(self, before: jobs.Job | None, after: jobs.Job | None, fact: facts.Fact) -> None:
        if after is None:
            if isinstance(fact, facts.ResolveRequested):
                assert before is None
                return
            assert isinstance(fact, facts.Expired | facts.CancelMatched)
            assert before is not None
            assert jobs.TRAITS[before.state].last
            assert isinstance(fact, facts.Expired) or before.state is _S.PENDING_CANCEL
            self.sequence = 0
            return

        assert after.sequence == self.sequence

        if before is None:
            assert isinstance(fact, facts.Requested | facts.InvalidRequest | facts.CancelRequested)
            return

        if after.state is not before.state and jobs.TRAITS[before.state].last:
            begins = before.state in {_S.REJECTED, _S.PENDING_CANCEL} and isinstance(
                fact, facts.Requested | facts.InvalidRequest
            )
            settled = before.state is _S.UNKNOWN and isinstance(fact, facts.ResolveRequested)
            assert begins or (settled and after.state in _SETTLED)

        if jobs.TRAITS[after.state].last:
            assert after.expires_ms > 0
            assert after.work is None
        else:
            assert after.expires_ms == 0

        before_mrs = after.state in {_S.QUEUED, _S.SUBMITTING, _S.IN_DOUBT}
        on_mrs = after.state in {_S.SUBMITTED, _S.RUNNING, _S.CANCELLING, _S.COLLECTING}
        assert (after.work is not None) >= before_mrs

        is_dropped = on_mrs and after.retry is None and self.rules.logs is None
        assert (after.work is None or isinstance(after.work, jobs.TargetState)) >= is_dropped
        assert (after.seen is not None) >= on_mrs

        if after.stop is not None and not jobs.is_ending(after):
            assert after.state not in {_S.QUEUED, _S.SUBMITTED, _S.RUNNING}

    def _check_submission(self, fact: facts.Fact, decision: decisions.Decision) -> None:
        """Check that before a second submission the first surely had no effect, or a second does no harm."""
        if self._may_be_repeated(fact):
            self.may_submit, self.on_mrs = True, False
        self.on_mrs = self.on_mrs and not isinstance(fact, facts.SubmissionRefused)

        job = decision.job
        if job is None or job.state in {_S.REJECTED, _S.PENDING_CANCEL}:
            self.may_submit, self.attempt, self.on_mrs = True, 0, False
            self.names.clear()
            return

        if any(event.data.state == "retrying" for event in decision.events):
            self.may_submit, self.on_mrs = True, False
            assert job.attempt == self.attempt + 1
            assert job.attempt <= (job.retry.attempts if job.retry else 1)
            assert job.statement or job.mrs_name not in self.names

        if decision.command is commands.Command.SUBMIT:
            assert self.may_submit
            assert job.stop is None
            assert job.attempt - self.attempt in {0, 1}
            self.may_submit, self.on_mrs, self.attempt = False, True, job.attempt
            self.names.add(job.mrs_name)


def _was_killed(before: jobs.Job | None) -> bool:
    return before is not None and before.ending is not None and before.ending.state == "cancelled"


_lives = st.builds(
    _Life,
    st.sampled_from(_WORKS),
    st.sampled_from(_RETRIES),
    st.sampled_from(_DEADLINES_S),
    st.sampled_from([samples.RULES, samples.LOG_RULES]),
    wished=st.sampled_from([True, False, False]),
)


@given(st.data(), _lives, st.integers(1, 40))
def test_every_sequence_of_facts_keeps_the_promises(data: st.DataObject, life: _Life, length: int) -> None:
    """
    No sequence of facts leaves a last state, submits twice, skips a number or makes a move that is not in the table.

    Decisions are the same for the same arguments, each state survives the ledger, and nothing raises.
    """
    for _ in range(length):
        life.happen(life.draw(data))


@given(st.data(), _lives, st.integers(1, 25))
def test_recovery_after_every_sequence_is_sane(data: st.DataObject, life: _Life, length: int) -> None:
    """A restart takes up what the state it finds calls for; what may have been sent before is not sent again."""
    for _ in range(length):
        life.happen(life.draw(data))
        if life.job is None:
            continue
        owed = transitions.recover(life.job)
        if isinstance(owed, commands.Command):
            assert owed is commands.of(life.job)
            assert owed is not commands.Command.SUBMIT
        else:
            life.happen(owed)
            assert life.job.state is not _S.SUBMITTING


@given(st.data(), _lives)
def test_job_can_always_end(data: st.DataObject, life: _Life) -> None:
    """From wherever it is, facts exist that bring a job to its last event."""
    for _ in range(data.draw(st.integers(0, 15))):
        life.happen(life.draw(data))

    way = [
        "log read",
        "request",
        "chosen",
        "turn",
        "not found",
        "turn",
        "taken",
        "found",
        "vanished",
        "collected",
        "settled",
    ]

    for name in way:
        fact = life.fitted(samples.FACTS[name])
        life.order += 1
        request = facts.Requested(samples.request(life.work, order=life.order))
        life.happen(request if name == "request" else fact)

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
                renewed = fact
                if isinstance(fact, facts.Requested):
                    asks = {"state": fact.job.state, "choice": fact.job.choice}
                    renewed = facts.Requested(samples.request(work, **asks))
                decision = transitions.decide(job, renewed, samples.NOW_MS, samples.RULES)
                if decision and decision.job and decision.job.state not in known:
                    known.add(decision.job.state)
                    assert transitions.recover(decision.job) is not commands.Command.SUBMIT
                    frontier.append(decision.job)

        reached |= known

    assert reached == set(jobs.State)


@pytest.mark.parametrize("origin", jobs.State)
def test_only_moves_of_the_table_are_made(origin: jobs.State) -> None:
    """`moved` makes the moves of the table and refuses all others."""
    job = samples.request(state=origin)
    for target in jobs.State:
        if target in jobs.TRAITS[origin].next:
            assert jobs.moved(job, target) == samples.request(state=target)
            continue
        with cells.cell(origin, target), pytest.raises(ValueError, match="never moves"):
            jobs.moved(job, target)
