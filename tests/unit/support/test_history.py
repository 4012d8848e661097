"""The checker itself: it must see every kind of broken history."""

from __future__ import annotations

import pytest
from tests.support import history


def event(request_id: str, sequence: int, state: str, *, name: str | None = None, event_id: str = "") -> history.Seen:
    data = {"mrs": {"job_name": name}} if name else {}
    return history.Seen(request_id, state, sequence, event_id or f"{request_id}-{sequence}", data)


GOOD = [
    event("a", 1, "accepted"),
    event("a", 2, "submitted", name="job-a"),
    event("a", 3, "running", name="job-a"),
    event("a", 4, "succeeded", name="job-a"),
]


def test_a_kept_promise_has_no_faults() -> None:
    """One request, one job, every event in order: nothing to report."""
    assert history.faults(["a"], GOOD, ["job-a"]) == []


@pytest.mark.parametrize(
    ("sent", "events", "created", "told"),
    [
        (["a", "b"], GOOD, ["job-a"], "b: no event at all"),
        ([], GOOD, ["job-a"], "a: events of a request that nobody sent"),
        (["a"], [GOOD[0], *GOOD[2:]], ["job-a"], "a: sequence numbers are [1, 3, 4]"),
        (["a"], [GOOD[0], GOOD[1], GOOD[1], *GOOD[2:]], ["job-a"], "a: sequence numbers are [1, 2, 2, 3, 4]"),
        (["a"], [GOOD[1], GOOD[0], *GOOD[2:]], ["job-a"], "a: sequence numbers are [2, 1, 3, 4]"),
        (["a"], GOOD[:3], ["job-a"], "a: ends with running"),
        (["a"], GOOD, ["job-a", "job-a"], "a: 2 jobs named job-a on MRS"),
        (["a"], GOOD, [], "a: 0 jobs named job-a on MRS"),
        (["a"], GOOD, ["job-a", "job-b"], "job job-b on MRS that no event tells of"),
        (["a"], [*GOOD, event("a", 5, "running", name="job-a")], ["job-a"], "a: running follows succeeded"),
        (["a"], [*GOOD[:3], event("a", 4, "succeeded", event_id="a-3")], ["job-a"], "event id a-3 came 2 times"),
    ],
)
def test_a_broken_history_is_told(sent: list[str], events: list[history.Seen], created: list[str], told: str) -> None:
    """Each way of breaking the promise is found and named."""
    assert told in history.faults(sent, events, created)
