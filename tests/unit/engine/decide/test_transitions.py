"""The events of a whole life, and how a restored job is resumed."""

from __future__ import annotations

import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import commands, facts, job_records, jobs


def test_life_of_a_job_tells_where_it_stood_before() -> None:
    """Each event names the state that was reported before it, the attempt, the cluster and the labels."""
    job: jobs.Job | None = None
    published = []
    labels = {"team": "billing"}
    happened: list[facts.Fact] = [facts.Requested(samples.request(labels=labels)), samples.FACTS["turn"]]

    happened += [samples.FACTS[name] for name in ("taken", "running", "progressed", "succeeded")]
    for fact in happened:
        decision = samples.decide(job, fact)
        job = decision.job
        published += [event.data for event in decision.events]

    assert [(data.previous_state, data.state, data.attempt, data.sequence) for data in published] == [
        (None, "accepted", 0, 1),
        ("accepted", "submitted", 1, 2),
        ("submitted", "running", 1, 3),
        ("running", "progress", 1, 4),
        ("progress", "succeeded", 1, 5),
    ]

    assert all(data.cluster == samples.CLUSTER and data.labels == labels and not data.repeated for data in published)


@pytest.mark.parametrize("name", [name for name, job in samples.JOBS.items() if job])
def test_restart_takes_up_what_is_owed(name: str) -> None:
    """From the ledger alone a restart knows what to do; only a submission is never taken up, it is in doubt."""
    job = samples.job(name)
    owed = transitions.recover(job_records.decode(job_records.encode(job)))
    if job.state is not jobs.State.SUBMITTING:
        assert owed is commands.of(job)
        return
    assert isinstance(owed, facts.SubmissionInDoubt)
    after = samples.decide(job, owed).job
    assert after is not None
    assert after.state is not jobs.State.SUBMITTING
