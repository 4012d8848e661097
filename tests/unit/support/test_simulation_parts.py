"""The parts of the simulation that judge and draw: a broken promise is found, and what is drawn is what it says."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.support import history, service, simulation_extras, simulation_stage, simulation_verdict

from mrs_emulator.core import state
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.messages import codec

SELECT = "select 'r-1' as one"
_JOBS = [state.Effect("job", "j-1", "job-a", "c", 0)]


class Reported(simulation_stage.Stage):
    """A tenant whose story is given."""

    events: Sequence[history.Seen] = ()

    def story(self) -> list[history.Seen]:
        return list(self.events)

    def kept(self) -> list[history.Kept]:
        return [history.Kept(self.events[-1].request_id, self.events[-1].state, len(self.events))]


def reported(*states: str, name: str = "job-a", attempt: int = 1, body: bytes = b'{"data": {}}') -> Reported:
    """Return a tenant that was reported these states of its request r-1."""
    kafka = kafka_settings.KafkaSettings()
    hub = memory_broker.MemoryBroker(kafka)
    stage = Reported("", hub, kafka.topics, random.Random(1), simulation_extras.NONE, {"r-1": (0, body)})  # noqa: S311
    named: dict[str, Any] = {"mrs": {"job_name": name}} if name else {}
    stage.events = [
        history.Seen("r-1", one, number, f"e-{number}", {"attempt": attempt, **(named if number > 1 else {})})
        for number, one in enumerate(states, start=1)
    ]
    return stage


def faults(
    *stages: Reported, effects: Sequence[state.Effect] = (), tags: Sequence[str] = (), result: str = "SUCCEEDED"
) -> list[str]:
    seen = simulation_verdict.Done(effects, {"job-a": result}, Counter(tags))
    return list(simulation_verdict.faults(stages, seen, exactly_once=True))


def test_a_kept_promise_has_no_faults() -> None:
    """One tenant, one request, one job that MRS shows as reported."""
    assert faults(reported("accepted", "submitted", "succeeded"), effects=_JOBS) == []


def test_a_job_in_two_stories_and_one_in_none_are_found() -> None:
    """A deployment that adopts a job of another one is found, and so is a job that no event names."""
    story = ("accepted", "submitted", "succeeded")
    assert "job job-a is in the stories of 2 tenants" in faults(reported(*story), reported(*story), effects=_JOBS)
    stranger = state.Effect("job", "j-2", "job-b", "c", 0)
    assert faults(reported(*story), effects=[*_JOBS, stranger]) == ["job job-b on MRS that no event tells of"]


def test_a_job_that_took_effect_late_is_told_of_when_it_is_stopped() -> None:
    """Its request has ended without it: the event has its id, and no name."""
    stage = reported("accepted", "submitted", "succeeded")
    late = {"code": "stopped_twin", "message": "took effect after all; job j-2 is being stopped"}
    stage.events = [*stage.events, history.Seen("r-1", "succeeded", 4, "e-4", {"repeated": True, "reason": late})]
    stranger = state.Effect("job", "j-2", "job-b", "c", 0)
    assert faults(stage, effects=[*_JOBS, stranger]) == []


def test_a_job_reported_as_cancelled_that_runs_on_is_found() -> None:
    """What MRS says of a job is what was reported last."""
    found = faults(reported("accepted", "submitted", "cancelled"), effects=_JOBS)
    assert found == ["r-1: cancelled was reported of job-a, MRS says SUCCEEDED"]


def test_a_job_that_was_given_up_is_found() -> None:
    """On an MRS that loses nothing no job ends as unknown."""
    found = faults(reported("accepted", "submitted", "unknown"), effects=_JOBS)
    assert found == ["r-1: unknown was reported of job-a, MRS says SUCCEEDED"]


def test_an_effect_that_is_denied_is_found() -> None:
    """A request cancelled without a submission has run no statement, and a cancelled one has set no tag."""
    ran = [state.Effect("statement", "", "", "c", 0, SELECT)]
    body = service.sql("r-1", "presto", SELECT)
    assert faults(reported("accepted", "cancelled", name="", body=body), effects=ran) == []
    found = faults(reported("accepted", "cancelled", name="", body=body, attempt=0), effects=ran)
    assert found == ["r-1: reported as cancelled and never sent, but its statement ran"]
    tagging = reported("accepted", "cancelled", name="")
    tagging.tags["r-1"] = "key"
    assert faults(tagging, tags=["key"]) == ["r-1: reported as cancelled, but MRS has set its tag"]


def test_what_is_repeated_too_often_is_found() -> None:
    """A write runs once; a read and a call that may be repeated run a bounded number of times."""
    story = reported("accepted", "succeeded", name="")

    def ran(statement: str, times: int) -> list[str]:
        return faults(story, effects=[state.Effect("statement", "", "", "c", 0, statement)] * times)

    most = simulation_verdict.MOST_RUNS
    assert ran(SELECT, most) == []
    assert ran(SELECT, most + 1) == [f"{SELECT!r} ran {most + 1} times"]
    assert ran("insert into t values ('r-1')", 2) == ["\"insert into t values ('r-1')\" ran 2 times"]
    assert faults(story, tags=["key"] * (most + 1)) == [f"tag key was set {most + 1} times"]


def test_another_spelling_is_the_same_json() -> None:
    """Numbers keep their value and their place, and what is added is null; the bytes differ."""
    body = service.job("r-1", queue_deadline_s=34.25, retry={"attempts": 3, "backoff_s": 2.0}, priority=5)
    for seed in range(50):
        other = simulation_extras.respelled(random.Random(seed), body)  # noqa: S311 - chance, no secret
        members = codec.decode(other)
        members["data"] = {name: value for name, value in members["data"].items() if value is not None}
        assert members == json.loads(body)
        assert other != body


def test_two_of_three_seeds_have_no_extras_and_each_extra_is_drawn() -> None:
    """Most seeds are as quick as before, and a hundred seeds have all there is."""
    drawn = [simulation_extras.draw(seed) for seed in range(300)]
    assert 150 < drawn.count(simulation_extras.NONE) < 250
    names = {name for extras in drawn for name in extras.names}
    assert names == {f"with {name}" for name in simulation_extras.Extras.__slots__}
    assert drawn == [simulation_extras.draw(seed) for seed in range(300)]
