"""The table of the benchmarks: what is judged, how, and what a missed target does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bench import run, targets

_SCRIPTS = Path(run.__file__).parent

FIGURES: dict[str, dict[str, Any]] = {
    "relay": {
        "relay_per_s": 5000,
        "bare_loop_per_s": 5000,
        "bare_loop_uvloop_per_s": 5000,
        "faststream_per_s": 500,
        "faststream_after_per_s": 100,
        "ratio": 1.0,
        "ratio_to_uvloop": 1.0,
        "ratio_to_faststream": 10.0,
        "ratio_to_faststream_after": 50.0,
    },
    "latency": {"relay_p50_ms": 9.0, "relay_p99_ms": 70.0, "bare_p99_ms": 60.0, "added_p99_ms": 10.0},
    "three_brokers": {
        "relay_per_s": 2000,
        "bare_loop_per_s": 1500,
        "ratio": 1.2,
        "relay_p50_ms": 30.0,
        "relay_p99_ms": 90.0,
        "added_p99_ms": 30.0,
    },
    "replicas": {"cores": 2, "measured": [{"replicas": n, "per_s": 5000, "to_one": 1.0} for n in (1, 2, 4)]},
    "recovery": {
        "jobs": 50_000,
        "restored_per_s": 30_000,
        "bare_per_s": 50_000,
        "ratio": 0.95,
        "compacted_restored_per_s": 60_000,
        "compacted_ratio": 0.65,
    },
    "following": {
        "under_way": 10_000,
        "ended": 1_000_000,
        "followed_s": 1.0,
        "alone_s": 0.2,
        "followed_beyond_s": 0.7,
        "whole_s": 12.0,
        "whole_ratio": 1.1,
    },
    "takeover": {
        "replicas": 4,
        "partitions": 12,
        "handed_over_calm_s": 0.1,
        "handed_over_stayed_s": 0.2,
        "handed_over_stopped_s": 0.1,
        "handed_over_moved_s": 1.0,
        "held_stayed_s": 0.2,
        "held_moved_s": 3.0,
        "killed_median_s": 9.0,
        "killed_s": 10.0,
    },
    "reads": {"sweeps": [{"jobs": 101, "when": "all running", "most_reads": 3, "allowed": 3}]},
    "quota": {"measured": [{"replicas": 1, "window": "fixed", "keys": "even", "used": 0.98, "throttled": 0}]},
    "fairness": {
        "measured": [{"what": "submissions, beside trouble", "part": 0.97}],
        "waited_s": 1119,
        "steps_s": 1080,
    },
    "messages": {"decoded_per_s": 40_000, "with_events_per_s": 20_000, "decided_per_s": 8000},
    "client": {"ratio": 1.0, "ratio_to_sdk": 16.0},
    "client_handles": {
        "handles": 10_000,
        "memory_mb": 90.0,
        "awake_p50_ms": 4.0,
        "awake_p99_ms": 15.0,
        "bare_p99_ms": 12.0,
    },
    "memory": {"count": 100_000, "bytes_per_job": 700, "ended": 1_000_000, "bytes_per_ended": 30},
    "emulator": {
        "submissions_per_s": 8000,
        "pages_ms_running": {"first page": (0.5, 0.9)},
        "pages_ms_ended": {"first page": (0.5, 0.8)},
        "memory_mb": 212.0,
    },
    "results": {
        "rows": 1_000_000,
        "obstore_mib_per_s": 200.0,
        "ratio": 0.9,
        "longest_ms": 9.0,
        "grown_mib": 20.0,
        "link_mbit_per_s": 1000.0,
        "link_obstore_mib_per_s": 113.0,
        "link_chunks_mib_per_s": 112.0,
        "link_ratio": 0.99,
        "link_kafka_mib_per_s": 80.0,
        "kafka_mib_per_s": 60.0,
        "kafka_longest_ms": 12.0,
        "kafka_grown_mib": 40.0,
    },
    "readmodel": {
        "events_per_s": 25_000,
        "events_per_cpu_s": 23_000,
        "requests": 1_000_000,
        "first_page_ms": {"none": 1.0, "text, none": 25.0},
        "dashboard_ms": {"/": 20.0},
    },
    "status": {"with_us": 202.0, "without_us": 200.0, "ratio": 1.01, "share": 0.01},
    "growth": {
        "remembered": [{"count": 2_000_000, "mb": 50.0, "restore_s": 8.0}],
        "clusters": [{"count": 1, "request_us": 300}, {"count": 1000, "request_us": 330}],
        "tenants": [{"count": 100, "request_us": 400}],
        "partitions": [{"count": 16, "mean_ms": 12.0, "p99_ms": 24.0, "per_s": 60.0}],
        "reads": [{"count": 10_000, "per_minute": 800, "look_s": 7.5}],
        "fleet": {
            "tenants": 100,
            "clusters": 1000,
            "jobs": 200_000,
            "used": 0.98,
            "throttled": 0,
            "blocked_ms": 30.0,
            "bytes_per_job": 1500,
        },
    },
}


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (targets.Row("speed", 8.0, at_least=8), "met"),
        (targets.Row("speed", 7.99, at_least=8), "MISSED"),
        (targets.Row("delay", 100.0, at_most=100), "met"),
        (targets.Row("delay", 100.1, at_most=100), "MISSED"),
        (targets.Row("429s", 1, at_most=0), "MISSED"),
        (targets.Row("429s", 0, at_most=0), "met"),
        (targets.Row("beside an SDK that is not installed", None, at_least=8), "not measured"),
        (targets.Row("reported, not judged", 3.0), ""),
    ],
)
def test_a_figure_is_judged_by_its_own_target(row: targets.Row, verdict: str) -> None:
    """On the target is met; beyond it is missed; what was not measured is never met."""
    assert row.verdict == verdict


def test_every_part_has_a_script_rows_and_at_least_one_target_but_those_of_the_machine() -> None:
    """What the table shows of a part is judged; only what the machine alone decides is not."""
    assert FIGURES.keys() == targets.ROWS.keys()
    judged = {part for part, make in targets.ROWS.items() if any(row.target for row in make(FIGURES[part]))}
    assert judged == targets.ROWS.keys() - {"replicas", "three_brokers"}
    assert not [part for part in targets.ROWS if not (_SCRIPTS / f"{part}.py").is_file()]
    assert run.QUICK.keys() <= targets.ROWS.keys()


def test_the_share_of_messages_needs_both_of_its_parts() -> None:
    """A row made of two parts is left out when one of them was not asked for."""
    both = {"relay": FIGURES["relay"], "messages": FIGURES["messages"]}
    assert [row.value for row in targets.together(both)] == [25.0]
    assert targets.together({"relay": FIGURES["relay"]}) == []


def _answer_with(monkeypatch: pytest.MonkeyPatch, changes: dict[str, dict[str, Any]]) -> list[tuple[str, list[str]]]:
    asked: list[tuple[str, list[str]]] = []

    def figures_of(part: str, flags: Sequence[str]) -> dict[str, Any]:
        asked.append((part, list(flags)))
        return {**FIGURES[part], **changes.get(part, {})}

    monkeypatch.setattr(run, "figures_of", figures_of)
    return asked


def test_a_run_that_meets_its_targets_ends_with_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All parts in order, each reported before and after; the table shows target and verdict."""
    asked = _answer_with(monkeypatch, {})
    assert run.main([]) == 0
    assert [part for part, _ in asked] == list(targets.ROWS)
    shown = capsys.readouterr()
    assert f"[1/{len(targets.ROWS)}] relay …" in shown.err
    assert "≥ 0.9" in shown.out
    assert "MISSED" not in shown.out


def test_a_missed_target_ends_with_1_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that runs the benchmarks learns of a miss from the exit code, a person from the last lines."""
    _answer_with(monkeypatch, {"recovery": {"ratio": 0.89}})
    assert run.main(["--only", "recovery", "memory"]) == 1
    shown = capsys.readouterr()
    assert "MISSED" in shown.out
    assert shown.err.strip().splitlines()[-1] == "missed: recovery ÷ bare read: 0.89, target ≥ 0.9"


def test_json_carries_figures_rows_and_verdicts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with what was measured and what it means; --quick and --only reach the parts."""
    asked = _answer_with(monkeypatch, {"quota": {"measured": [{**FIGURES["quota"]["measured"][0], "used": 0.9}]}})
    assert run.main(["--json", "--quick", "--only", "quota"]) == 1
    assert asked == [("quota", list(run.QUICK["quota"]))]
    output = json.loads(capsys.readouterr().out)
    assert output["quota"]["measured"][0]["used"] == 0.9
    assert [row["verdict"] for row in output["rows"]] == ["MISSED", "met"]


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt part ends the run before anything is measured."""
    with pytest.raises(SystemExit):
        run.main(["--only", "speed"])
    assert "speed" in capsys.readouterr().err
