"""What is decided about the rows of a statement that has succeeded."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import commands, facts, jobs
from mrs_relay.messages import events

DELIVERY = jobs.Delivery("obs://lake/results/a/", max_rows=10, max_bytes=1000)
LOCATION = "obs://lake/results/a/1_2/x.csv"


def finished(location: str | None = LOCATION) -> facts.StatementObserved:
    """MRS says that the statement has ended well."""
    return facts.StatementObserved(jobs.MrsStatus(samples.JOB_ID, "FINISHED"), result=events.Result(location=location))


def job(name: str = "running, a statement", delivery: jobs.Delivery | None = DELIVERY) -> jobs.Job:
    """A statement whose rows are wanted."""
    return msgspec.structs.replace(samples.job(name), delivery=delivery)


@pytest.mark.parametrize(
    "name", ["submitting, a statement that reads", "submitted, a statement", "running, a statement"]
)
def test_rows_are_read_before_the_success_is_published(name: str) -> None:
    """No event of the success yet; the ledger has the path, and by when the reading ends."""
    decision = samples.decide(job(name), finished())
    assert decision.job is not None
    assert "succeeded" not in [event.data.state for event in decision.events]
    assert (decision.job.state, decision.command) == (jobs.State.COLLECTING, commands.Command.COLLECT)
    assert decision.job.location == LOCATION
    assert 0 < decision.job.run_deadline_ms - samples.NOW_MS <= 60_000


def test_reading_ends_after_a_minute_whatever_the_settings_say() -> None:
    """A success is known by then."""
    patient = msgspec.structs.replace(samples.RULES, collect_within_ms=600_000)
    decision = transitions.decide(job(), finished(), samples.NOW_MS, patient)
    assert decision is not None
    assert decision.job is not None
    assert decision.job.run_deadline_ms == samples.NOW_MS + 60_000


@pytest.mark.parametrize(
    "location",
    [
        "obs://lake/results/b/x.csv",
        "obs://lake/results/ab/x.csv",
        "obs://pond/results/a/x.csv",
        "obs://lake/results/a/../b/x.csv",
        "obs://lake/results/a/%2e%2e/b/x.csv",
        "https://lake/results/a/x.csv",
        "obs://lake/results/a/" + "x" * 5000,
    ],
)
def test_path_outside_of_the_folder_is_named_and_not_read(location: str) -> None:
    """The success has the path, at a bearable length, and the reason."""
    decision = samples.decide(job(), finished(location))
    data = samples.only_event(decision)
    assert decision.command is commands.Command.RELEASE
    assert (data.state, data.result is not None) == ("succeeded", True)
    assert data.result is not None
    assert data.result.unavailable
    assert location.startswith(data.result.location or "?")
    assert len(data.result.location or "") <= 1200


@pytest.mark.parametrize(("delivery", "location"), [(None, LOCATION), (DELIVERY, None)])
def test_without_a_delivery_or_an_object_there_is_nothing_to_read(
    delivery: jobs.Delivery | None, location: str | None
) -> None:
    """As ever: the path alone, or the rows of the reply."""
    data = samples.only_event(samples.decide(job(delivery=delivery), finished(location)))
    assert data.state == "succeeded"
    assert data.result == events.Result(location=location)


def test_rows_come_once() -> None:
    """A second result, of a replica that has lost the partition or of a second read, changes nothing."""
    reading = samples.decide(job(), finished()).job
    assert reading is not None
    rows = facts.ResultCollected(events.Result(statements=[events.StatementResult(rows=[["1"]], row_count=1)]))
    ended = samples.decide(reading, rows)
    assert [event.data.state for event in ended.events] == ["succeeded"]
    assert ended.job is not None
    assert transitions.decide(ended.job, rows, samples.NOW_MS, samples.RULES) is None
