"""A person's verdict on a job of unknown outcome."""

from __future__ import annotations

import msgspec
from tests.unit.engine import samples

from mrs_relay.engine.model import facts, jobs


def test_settling_by_hand_is_the_last_word() -> None:
    """The note stands in the event and in every answer after it; a second settling is answered, not obeyed."""
    decision = samples.decide(samples.job("unknown"), "settled")
    (event,) = decision.events
    assert event.causation_id == "s-1"
    assert event.data.reason is not None
    assert (event.data.reason.kind, event.data.reason.message) == ("resolved", "the rows are there")
    settled = samples.FACTS["settled"]
    assert isinstance(settled, facts.ResolveRequested)
    again = samples.decide(decision.job, msgspec.structs.replace(settled, verdict=jobs.State.FAILED, by="s-2"))
    assert [(event.data.state, event.data.repeated) for event in again.events] == [("succeeded", True)]
