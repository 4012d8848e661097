"""Tables and lines: what a person sees of values, with foreign text shown as it is."""

from __future__ import annotations

import io

import pytest
from rich import console

from mrs_relay.cli import request_table, view
from mrs_relay.messages import events


def _shown(*things: console.RenderableType, width: int = 140) -> str:
    out = io.StringIO()
    console.Console(file=out, width=width, highlight=False).print(*things)
    return out.getvalue()


def _row(**changes: object) -> request_table.Row:
    facts: dict[str, object] = {
        "key": ("/test", "a"),
        "subject": "sql",
        "state": "running",
        "sequence": 3,
        "cluster": "c1",
        "job_id": "j1",
        "job_name": "",
        "progress": 50.0,
        "seen_ms": 1_000,
        "changed_ms": 3_000,
        "reason": "",
        "result": None,
    }

    return request_table.Row(**{**facts, **changes})  # type: ignore[arg-type]  # a row in words


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0.0s"), (0.44, "0.4s"), (12, "12s"), (184, "3m04s"), (7500, "2h05m"), (300_000, "3d")],
)
def test_an_age_is_short(seconds: float, shown: str) -> None:
    """Five characters say how old something is."""
    assert view.age(seconds) == shown


def test_markup_in_foreign_text_is_shown_not_obeyed() -> None:
    """A request id in brackets is text."""
    assert "[red]x[/red]" in _shown(view.event_line(_row(key=("/test", "[red]x[/red]"))))


def test_control_characters_in_foreign_text_never_reach_the_terminal() -> None:
    """A reason cannot move the cursor or change colours."""
    assert "\x1b" not in _shown(view.plain("a\x1b[2Jb"))


def test_the_watch_table_is_bounded_and_says_what_it_hides() -> None:
    """More rows than fit are counted, not drawn."""
    rows = [_row(key=("/test", f"id-{number}")) for number in range(5)]
    shown = _shown(view.watch_table(rows, now_ms=3_000, width=140, most=2, title=view.counts({"running": 5})))
    assert "id-1" in shown
    assert "id-2" not in shown
    assert "3 more" in shown


def test_the_age_of_an_ended_request_stands_still() -> None:
    """An ended request shows how long it took."""
    done = _row(state="succeeded")
    early, late = (
        _shown(view.watch_table([done], now_ms=at, width=140, most=5, title=view.plain(""))) for at in (3_000, 90_000)
    )
    assert "2.0s" in early
    assert early == late


@pytest.mark.parametrize(
    ("state", "progress", "bar"),
    [("running", 50.0, "█████░░░░░"), ("running", None, ""), ("succeeded", 0.0, "██████████"), ("failed", 100.0, "")],
)
def test_a_bar_shows_what_runs_and_what_succeeded(state: str, progress: float | None, bar: str) -> None:
    """MRS reports 100 per cent for failed jobs too: no bar for those."""
    assert view.bar(_row(state=state, progress=progress)).plain == bar


def test_counts_follow_the_order_of_a_jobs_life() -> None:
    """Accepted before running before failed, whatever came first."""
    assert view.counts({"failed": 1, "accepted": 2, "running": 3}).plain == "2 accepted  3 running  1 failed"


def test_rows_of_objects_become_columns_by_name() -> None:
    """Spark rows are objects; a missing cell is empty."""
    shown = _shown(view.rows_table([{"n": 1, "name": "x"}, {"n": 22}], title="t"))
    assert "name" in shown
    assert "2 rows" in shown


def test_rows_of_lists_become_numbered_columns() -> None:
    """Presto SHOW and DESC rows are lists of text of any length."""
    shown = _shown(view.rows_table([["a", "b"], ["c"]], title="t"))
    assert [word for word in ("1", "2", "a", "c") if word not in shown] == []


def test_a_long_result_is_cut_and_says_so() -> None:
    """The table shows the first rows and the number of all."""
    shown = _shown(view.rows_table([{"n": number} for number in range(30)], title="t", row_count=99, most=3))
    assert "99 rows, the first 3 shown" in shown


def test_a_result_names_its_location_truncation_and_absence() -> None:
    """A reader learns where the rows are, or why there are none."""
    found = events.Result(truncated=True, location="obs://b/k", unavailable="too late")
    shown = _shown(*view.result(found, name="q"))
    assert [word for word in ("obs://b/k", "inline limit", "too late") if word not in shown] == []


def test_an_event_line_says_when_what_and_why() -> None:
    """One line holds state, id, progress, MRS id and reason."""
    line = view.event_line(_row(reason="0163: no")).plain
    assert [word for word in ("running", "a", "50%", "MRS j1", "0163: no") if word not in line] == []


@pytest.mark.parametrize("epoch_ms", [0, -1, 1_795_420_800_000_000, 2**63, -(2**63)])
def test_a_time_of_day_is_left_out_where_there_is_none(epoch_ms: int) -> None:
    """What is no moment has no time of day, and breaks no line."""
    assert view.clock_time(epoch_ms) == ""
    assert "running" in view.event_line(_row(changed_ms=epoch_ms)).plain


@pytest.mark.parametrize(
    "statement",
    [
        {"rows": [["7", "apple"], ["12", "a,b"]], "columns": [{"name": "id"}, {"name": "fruit"}]},
        {"rows": [], "columns": [{"name": "id"}, {"name": "fruit"}], "csv": 'id,fruit\n7,apple\n12,"a,b"\n'},
    ],
)
def test_rows_of_lists_and_of_csv_have_the_names_of_their_columns(statement: dict[str, object]) -> None:
    """As Presto's rows come; the numbers are on the right."""
    found = events.Result.model_validate({"statements": [{**statement, "row_count": 2}]})
    lines = [line.rstrip() for line in _shown(*view.result(found, name="q")).splitlines()]
    assert lines[0] == "q"
    assert lines[1].split() == ["id", "fruit"]
    assert lines[3:] == [" 7   apple", "12   a,b", "2 rows"]


def test_csv_without_names_has_numbered_columns() -> None:
    """Presto may be set to write none."""
    found = events.Result.model_validate({"statements": [{"rows": [], "csv": "7,apple\n", "row_count": 1}]})
    assert _shown(*view.result(found, name="q")).splitlines()[1].split() == ["1", "2"]


def test_address_of_rows_is_shown_with_its_end() -> None:
    """For who asked for it."""
    found = events.Result(location="obs://a/b.csv", url="https://a/b.csv?x=1", url_expires_at="2026-11-30T08:00:00Z")
    assert "Until 2026-11-30T08:00:00Z, without keys: https://a/b.csv?x=1" in _shown(*view.result(found, name="q"))
