"""Whatever happens to a request, every event that is reported follows the schema of its state."""

from __future__ import annotations

import functools
import json

import jsonschema  # type: ignore[import-untyped]  # ships no types
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine import samples
from tests.unit.engine.decide import test_properties

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import jobs
from mrs_relay.messages import events, schema

_WORKS = st.sampled_from(test_properties._WORKS)
_RETRIES = st.sampled_from(test_properties._RETRIES)
_DEADLINES_S = st.sampled_from(test_properties._DEADLINES_S)


@functools.cache
def _validator(state: events.State) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema.event(f"mrs.job.{state}"))


@given(data=st.data(), work=_WORKS, retry=_RETRIES, deadline_s=_DEADLINES_S)
def test_every_event_follows_the_schema_of_its_state(
    data: st.DataObject, work: jobs.Work, retry: jobs.Retry | None, deadline_s: float
) -> None:
    """
    Its data are what subscribers are promised, a reason included where one is due.

    The facts are unlikely ones, too, such as a job id for a call: which types there are they do not tell.
    """
    life = test_properties._Life(work, retry, deadline_s)
    for _ in range(data.draw(st.integers(1, 12))):
        fact = life.draw(data)
        decision = transitions.decide(life.job, fact, life.now_ms, samples.RULES)
        for event in () if decision is None else decision.events:
            published = json.loads(events.write(event, "/mrs-relay")[1])
            faults = [fault.message for fault in _validator(event.data.state).iter_errors(published)]
            assert faults == [], published
        life.happen(fact)
