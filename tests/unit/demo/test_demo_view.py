"""What the demo says at the end: what is not as planned stands out, rows are those of the events."""

from __future__ import annotations

import dataclasses
import io

from rich import console

from mrs_emulator.sql import tpch
from mrs_relay.cli import request_table
from mrs_relay.demo import demo_requests, demo_stage, demo_view
from mrs_relay.messages import event_reader, events

_PLANNED = {one.message.id: one for one in demo_requests.plan(tpch.query)}


def _shown(*things: console.RenderableType) -> str:
    out = io.StringIO()
    console.Console(file=out, width=160, highlight=False).print(*things)
    return out.getvalue()


def _ended(name: str, state: events.State, *, result: events.Result | None = None) -> demo_view.Ended:
    row = request_table.Row(
        key=_PLANNED[name].key,
        subject="sql",
        state=state,
        sequence=4,
        cluster="c",
        job_id="j",
        job_name="",
        progress=100.0,
        seen_ms=0,
        changed_ms=1_000,
        reason="",
        result=result,
    )

    return demo_view.Ended(_PLANNED[name], row, 1.0)


def test_a_request_that_ended_otherwise_stands_out_with_what_was_expected() -> None:
    """A success that should have failed is as wrong as a failure that should not."""
    wrong = [_ended("nightly-etl", "succeeded"), _ended("tpch-q01", "failed")]
    assert [one.as_expected for one in wrong] == [False, False]
    shown = _shown(demo_view.outcomes(wrong, 160))
    assert "expected: failed" in shown
    assert "expected: succeeded" in shown
    assert "✓" not in shown


def test_a_request_without_any_event_is_not_as_expected() -> None:
    """Silence is no success."""
    silent = demo_view.Ended(_PLANNED["tpch-q01"], None, 0.0)
    assert not silent.as_expected
    assert "no event" in _shown(demo_view.outcomes([silent], 160))


def test_failures_and_rejections_that_were_planned_are_good() -> None:
    """The two kinds of trouble in the plan count as successes of the relay."""
    assert _ended("nightly-etl", "failed").as_expected
    assert _ended("misspelt", "rejected").as_expected


def test_rows_of_each_engine_are_shown_and_checked() -> None:
    """As they are in the events: objects of Spark, lists of the others with the names beside them."""
    objects = events.StatementResult(rows=[{"n_name": "CHINA"}], row_count=1)
    names = [events.Column(name="o_orderpriority"), events.Column(name="order_count")]
    lists = events.StatementResult(rows=[["1-URGENT", "93"]], row_count=1, columns=names)
    found = {"tpch-q05": objects, **dict.fromkeys(demo_view._ANSWERS.keys() - {"tpch-q05"}, lists)}
    ended = [_ended(one, "succeeded", result=events.Result(statements=[rows])) for one, rows in found.items()]
    shown = _shown(*demo_view.answers(ended))
    assert all(word in shown for word in ("CHINA", "order_count", "1-URGENT"))
    assert demo_view.with_rows(ended).holds
    assert not demo_view.with_rows([*ended[1:], _ended("tpch-q05", "succeeded", result=events.Result())]).holds


def test_cause_of_the_failure_is_checked_and_its_log_shown() -> None:
    """The reason names it; without it the demo did not end well."""
    name = demo_requests.OUT_OF_MEMORY
    bad = _ended(name, "failed")
    assert bad.row is not None
    row = dataclasses.replace(bad.row, reason="job_result (out_of_memory): failed", detail="at Main\nOutOfMemoryError")
    good = demo_view.Ended(_PLANNED[name], row, 1.0)
    assert demo_view.with_cause([good]).holds
    assert not demo_view.with_cause([bad]).holds
    assert "  OutOfMemoryError" in _shown(*demo_view.answers([good]))


def test_checks_that_do_not_hold_are_marked() -> None:
    """A cross for what does not hold."""
    shown = _shown(demo_view.checks([demo_view.Check(True, "good"), demo_view.Check(False, "bad")]))
    assert "✓ good" in shown
    assert "✗ bad" in shown


def test_the_live_table_fits_the_terminal_and_keeps_work_on_top() -> None:
    """What runs is above what ended, what waits comes last, and no more rows than lines."""
    seen = request_table.RequestTable()
    for name, state in (("tpch-q01", "succeeded"), ("tpch-q02", "running"), ("tpch-q03", "accepted")):
        data = {"request": {"id": name, "source": demo_requests.SOURCE}, "state": state, "sequence": 1, "attempt": 1}
        seen.see(event_reader.ReadEvent(attributes={"type": "mrs.sql.x"}, data=events.EventData.model_validate(data)))
    shown = _shown(demo_view.live(list(_PLANNED.values()), seen, now_ms=0, start_ms=0, size=(160, 24)))
    assert shown.index("tpch-q02") < shown.index("tpch-q01") < shown.index("tpch-q03")
    assert f"1/{len(_PLANNED)} ended" in shown


def test_how_to_send_holds_the_real_addresses() -> None:
    """What is printed can be pasted."""
    shown = demo_view.how_to_send("127.0.0.1:29092", demo_stage.Ports(29092, 8082, 8182, 8081, 8090), "mrs-relay")
    assert shown.count("127.0.0.1:29092") == 6
    assert "http://127.0.0.1:8081/metrics" in shown
    assert "http://127.0.0.1:8090" in shown
