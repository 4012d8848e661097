"""The board keeps what events reported: one row per request, the newest change first."""

from __future__ import annotations

from mrs_relay.cli import request_table
from mrs_relay.messages import event_reader, events, reasons


def _event(
    request_id: str, state: events.State, sequence: int, *, at: str = "2026-12-01T06:00:00.000Z", **data: object
) -> event_reader.ReadEvent:
    return event_reader.ReadEvent(
        attributes={"type": f"mrs.job.{state}", "time": at, "id": f"{request_id}-{sequence}"},
        data=events.EventData.model_validate(
            {
                "request": {"id": request_id, "source": "/test"},
                "state": state,
                "sequence": sequence,
                "attempt": 1,
                **data,
            }
        ),
    )


def test_a_new_request_appears_with_what_its_event_says() -> None:
    """The first event makes the row."""
    seen = request_table.RequestTable()
    row = seen.see(_event("a", "running", 3, cluster="c1", mrs={"job_id": "j1", "progress": 40.0}))
    assert row is not None
    assert (row.key, row.subject, row.state, row.cluster, row.job_id, row.progress) == (
        ("/test", "a"),
        "job",
        "running",
        "c1",
        "j1",
        40.0,
    )
    assert not row.ended


def test_an_event_seen_before_changes_nothing() -> None:
    """A sequence that is not new is a repeat, whatever it says."""
    seen = request_table.RequestTable()
    seen.see(_event("a", "running", 3))
    assert seen.see(_event("a", "running", 3)) is None
    assert seen.see(_event("a", "accepted", 1)) is None
    assert [row.state for row in seen.rows()] == ["running"]


def test_progress_counts_as_running() -> None:
    """`progress` is an event, not a state of the job."""
    seen = request_table.RequestTable()
    seen.see(_event("a", "progress", 4))
    assert seen.counts() == {"running": 1}


def test_later_events_keep_what_they_do_not_repeat() -> None:
    """Cluster, MRS id and the first time stay when a later event leaves them out."""
    seen = request_table.RequestTable()
    seen.see(_event("a", "submitted", 2, cluster="c1", mrs={"job_id": "j1"}))
    row = seen.see(_event("a", "succeeded", 3, at="2026-12-01T06:00:05.000Z"))
    assert row is not None
    assert (row.cluster, row.job_id, row.changed_ms - row.seen_ms, row.ended) == ("c1", "j1", 5000, True)


def test_the_newest_change_comes_first() -> None:
    """Order is by change, not by arrival."""
    seen = request_table.RequestTable()
    seen.see(_event("a", "accepted", 1))
    seen.see(_event("b", "accepted", 1))
    seen.see(_event("a", "submitted", 2))
    assert [row.key[1] for row in seen.rows()] == ["a", "b"]


def test_past_its_size_the_board_forgets_the_oldest_change() -> None:
    """Memory is bounded however long one watches."""
    seen = request_table.RequestTable(most=2)
    for name in ("a", "b", "c"):
        seen.see(_event(name, "accepted", 1))
    assert [row.key[1] for row in seen.rows()] == ["c", "b"]


def test_a_reason_becomes_one_line_with_its_code_in_front() -> None:
    """What a person needs to look it up, on one line."""
    reason = reasons.Reason(kind="job_failed", code="job_result", message="it\nbroke", mrs_request_id="r-1")
    row = request_table.RequestTable().see(_event("a", "failed", 4, reason=reason.model_dump(by_alias=True)))
    assert row is not None
    assert row.reason == "job_result: it broke (MRS request id r-1)"


def test_an_event_without_a_readable_time_counts_as_time_zero() -> None:
    """A broken time never breaks the display."""
    assert request_table.time_ms(_event("a", "accepted", 1, at="yesterday")) == 0
    assert request_table.time_ms(_event("a", "accepted", 1, at="0001-01-01T00:00:00")) == 0
    assert request_table.time_ms(_event("a", "accepted", 1, at="2016-12-31T23:59:60Z")) == 1_483_228_800_000
