"""The checker itself: it must see every kind of broken history, and it must not see what is not there."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.support import history

from mrs_relay.engine.model import job_records, jobs


def event(
    request_id: str, sequence: int, state: str, *, name: str | None = None, event_id: str = "", repeated: bool = False
) -> history.Seen:
    data = {"mrs": {"job_name": name}, "repeated": repeated} if name else {"repeated": repeated}
    return history.Seen(request_id, state, sequence, event_id or f"{request_id}-{sequence}", data)


GOOD = [
    event("a", 1, "accepted"),
    event("a", 2, "submitted", name="job-a"),
    event("a", 3, "running", name="job-a"),
    event("a", 4, "succeeded", name="job-a"),
]
RETRIED = [
    *GOOD[:3],
    event("a", 4, "retrying", name="job-a"),
    event("a", 5, "submitted", name="job-a2"),
    event("a", 6, "succeeded", name="job-a2"),
]
KEPT = [history.Kept("a", "succeeded", 4)]
OTHER = event("b", 1, "rejected")


def test_a_kept_promise_has_no_faults() -> None:
    """One request, one job, every event in order, and ledger and MRS say the same: nothing to report."""
    assert history.faults(["a"], GOOD, ["job-a"], kept=KEPT, results={"job-a": "SUCCEEDED"}) == []


def test_a_retry_is_two_jobs_and_one_story() -> None:
    """Each attempt has a name of its own; the first one failed, the second did not."""
    kept = [history.Kept("a", "succeeded", 6)]
    results = {"job-a": "FAILED", "job-a2": "SUCCEEDED"}
    assert history.faults(["a"], RETRIED, ["job-a", "job-a2"], kept=kept, results=results) == []


def test_a_request_sent_twice_is_reported_again_and_that_is_no_fault() -> None:
    """The present state with the next number, marked as repeated, also after the end."""
    again = event("a", 5, "succeeded", name="job-a", repeated=True)
    assert history.faults(["a"], [*GOOD, again], ["job-a"], kept=[history.Kept("a", "succeeded", 5)]) == []


@pytest.mark.parametrize(
    ("sent", "events", "created", "expected"),
    [
        pytest.param(["a", "b"], GOOD, ["job-a"], "b: no event at all", id="lost"),
        pytest.param([], GOOD, ["job-a"], "a: events of a request that was not sent", id="made up"),
        pytest.param(["a"], [GOOD[0], *GOOD[2:]], ["job-a"], "a: sequence numbers are [1, 3, 4]", id="gap"),
        pytest.param(["a"], GOOD[1:], ["job-a"], "a: sequence numbers are [2, 3, 4]", id="no beginning"),
        pytest.param(
            ["a"],
            [GOOD[0], GOOD[1], GOOD[1], *GOOD[2:]],
            ["job-a"],
            "a: sequence numbers are [1, 2, 2, 3, 4]",
            id="repeat",
        ),
        pytest.param(
            ["a"], [GOOD[1], GOOD[0], *GOOD[2:]], ["job-a"], "a: sequence numbers are [2, 1, 3, 4]", id="out of order"
        ),
        pytest.param(["a"], GOOD[:3], ["job-a"], "a: ends with running", id="never ended"),
        pytest.param(["a"], RETRIED[:4], ["job-a"], "a: ends with retrying", id="retry that never came"),
        pytest.param(["a"], GOOD, ["job-a", "job-a"], "a: 2 jobs named job-a on MRS", id="doubled"),
        pytest.param(["a"], GOOD, [], "a: 0 jobs named job-a on MRS", id="expected and not done"),
        pytest.param(
            ["a"], GOOD, ["job-a", "job-b"], "job job-b on MRS that no event tells of", id="done and not expected"
        ),
        pytest.param(
            ["a"],
            [*GOOD, event("a", 5, "running", name="job-a")],
            ["job-a"],
            "a: running follows succeeded",
            id="alive after its end",
        ),
        pytest.param(
            ["a"],
            [*GOOD, event("a", 5, "failed", name="job-a")],
            ["job-a"],
            "a: failed follows succeeded",
            id="two different ends",
        ),
        pytest.param(
            ["a"],
            [*GOOD, event("a", 5, "succeeded", name="job-a")],
            ["job-a"],
            "a: succeeded follows succeeded",
            id="the same end twice",
        ),
        pytest.param(
            ["a"],
            [*GOOD[:3], event("a", 4, "succeeded", event_id="a-3")],
            ["job-a"],
            "event id a-3 came 2 times",
            id="one id, two events",
        ),
    ],
)
def test_a_broken_history_is_reported(
    sent: list[str], events: list[history.Seen], created: list[str], expected: str
) -> None:
    """Each way of breaking the promise is found and named."""
    assert expected in history.faults(sent, events, created)


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        pytest.param([], "a: 0 records in the ledger", id="forgotten"),
        pytest.param(KEPT * 2, "a: 2 records in the ledger", id="in two partitions"),
        pytest.param(
            [history.Kept("a", "running", 4)], "a: the ledger says running, the last event succeeded", id="other state"
        ),
        pytest.param(
            [history.Kept("a", "succeeded", 5)],
            "a: the ledger is at sequence 5, the events at 4",
            id="an event is missing at the end",
        ),
        pytest.param(
            [*KEPT, history.Kept("z", "queued", 0)], "z: in the ledger, and no event tells of it", id="never expected"
        ),
    ],
)
def test_a_ledger_that_disagrees_with_the_events_is_reported(kept: list[history.Kept], expected: str) -> None:
    """Every request stands in one place, in the state and with the number of its last event."""
    assert expected in history.faults(["a"], GOOD, ["job-a"], kept=kept)


@pytest.mark.parametrize("result", ["FAILED", "KILLED", "UNDEFINED"])
def test_a_verdict_that_mrs_does_not_share_is_reported(result: str) -> None:
    """What was reported last of a job is what MRS says of it."""
    found = history.faults(["a"], GOOD, ["job-a"], results={"job-a": result})
    assert found == [f"a: succeeded was reported of job-a, MRS says {result}"]


def test_an_unknown_end_is_not_held_against_mrs() -> None:
    """`unknown` says that the outcome could not be found out, whatever became of the job."""
    story = [*GOOD[:3], event("a", 4, "unknown", name="job-a")]
    assert history.faults(["a"], story, ["job-a"], results={"job-a": "SUCCEEDED"}) == []


def test_events_reported_again_are_left_out_and_different_ones_under_one_id_are_not() -> None:
    """At-least-once may repeat an event word for word; an id that stands for two events is a fault."""
    assert history.once([OTHER, *GOOD, GOOD[1], OTHER]) == ([OTHER, *GOOD], [])
    forged = replace(GOOD[1], state="failed")
    events, found = history.once([*GOOD, forged])
    assert events == GOOD
    assert found == ["event id a-2 stands for two different events"]


def job(state: str, sequence: int) -> bytes:
    return job_records.encode(jobs.Job("/test", "a", "job", "", jobs.State(state), sequence))


KEY = b"/test a"
OFFSETS = json.dumps({"in": 7}).encode()


def test_the_ledger_is_read_up_to_its_last_whole_commit() -> None:
    """The last record of a key counts; what no offsets follow was not committed, and a tombstone forgets."""
    ledger = history.Ledger()
    ledger.add(0, b"\0claim", b"{}")
    ledger.add(1, KEY, job("queued", 1))
    ledger.add(2, b"\0offsets", OFFSETS)
    ledger.add(3, KEY, job("running", 3))
    assert ledger.jobs == {KEY: history.Kept("a", "queued", 1)}
    ledger.add(4, b"\0offsets", OFFSETS)
    assert ledger.jobs == {KEY: history.Kept("a", "running", 3)}
    assert ledger.next_offset == {"in": 7}
    ledger.add(5, KEY, None)
    ledger.add(6, b"\0offsets", OFFSETS)
    assert ledger.jobs == {}


def test_records_of_an_owner_that_was_replaced_do_not_count() -> None:
    """Without transactions a late write may follow the next owner's claim; its token gives it away."""
    ledger = history.Ledger()
    ledger.add(0, b"\0claim", b"{}")
    ledger.add(1, KEY, job("queued", 1), [("t", b"0")])
    ledger.add(2, b"\0offsets", OFFSETS, [("t", b"0")])
    ledger.add(3, KEY, job("running", 2), [("t", b"0")])  # a commit that did not get through
    ledger.add(4, b"\0claim", b"{}")
    ledger.add(5, KEY, job("failed", 9), [("t", b"0")])
    ledger.add(6, b"\0offsets", OFFSETS, [("t", b"0")])
    ledger.add(7, b"\0offsets", OFFSETS, [("t", b"4")])
    assert ledger.jobs == {KEY: history.Kept("a", "queued", 1)}
