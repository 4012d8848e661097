"""Events that answer a message without changing a job."""

from __future__ import annotations

import pytest
from tests.unit.engine import samples

from mrs_relay.engine.model import facts


@pytest.mark.parametrize(
    ("name", "fact"), [("awaited", "expired"), ("awaited", "cancel by another"), (None, "settled")]
)
def test_wish_that_finds_no_request_shares_no_event_id_with_a_request_of_the_same_id(
    name: str | None, fact: str
) -> None:
    """A message that is no request may have the source and id of one: their events still have ids of their own."""
    (event,) = samples.decide(None if name is None else samples.job(name), fact).events
    ref = event.data.request
    namesake = samples.request(source=ref.source, id=ref.id)
    (accepted,) = samples.decide(None, facts.Requested(namesake)).events
    assert accepted.data.sequence == event.data.sequence
    assert accepted.event_id != event.event_id


def test_cause_of_an_event_is_what_brought_it_about() -> None:
    """A cancel is the cause of the end that it brings and of its own answer; all other events are the request's."""
    stopping = samples.decide(samples.job("running"), "cancel").job
    (lost,) = samples.decide(stopping, "succeeded").events
    assert lost.causation_id is None
    won = samples.decide(stopping, "killed")
    assert [event.causation_id for event in won.events] == ["c-1"]
    (again,) = samples.decide(won.job, "request").events
    assert again.causation_id is None
    (answer,) = samples.decide(won.job, "cancel by another").events
    assert answer.causation_id == "c-3"
    sent = samples.decide(samples.job("submitting, to be cancelled"), "taken")
    assert [event.causation_id for event in sent.events] == [None]
