"""How much of a result goes into an event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.engine.work import results
from mrs_relay.mrs.models import base

_ROWS = st.lists(st.lists(st.lists(st.text(max_size=5), max_size=3), max_size=5), max_size=4)


def _bytes(rows: list[Any]) -> int:
    return len(json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode())


def test_small_rows_are_all_there() -> None:
    """Rows that fit are given out in order, statement by statement."""
    result = results.inline([[{"a": "1"}, {"a": "2"}], [], [["x"]]], 1000)
    assert [(part.rows, part.row_count) for part in result.statements] == [
        ([{"a": "1"}, {"a": "2"}], 2),
        ([], 0),
        ([["x"]], 1),
    ]
    assert not result.truncated


def test_no_statement_gives_no_rows() -> None:
    """A job without statements has an empty result, not a truncated one."""
    shown = results.inline([], 0)
    assert (shown.statements, shown.truncated) == ([], False)


def test_rows_are_cut_at_the_cap() -> None:
    """From the first row on that is too much, all are left out, also of later statements; the counts stay true."""
    result = results.inline([["a", "b", "x" * 50, "c"], ["d"]], 20)
    assert [(part.rows, part.row_count) for part in result.statements] == [(["a", "b"], 4), ([], 1)]
    assert result.truncated


@pytest.mark.parametrize(("cap", "rows"), [(0, 0), (3, 0), (4, 1), (7, 1), (8, 2), (12, 3), (1000, 3)])
def test_cap_counts_bytes_of_json(cap: int, rows: int) -> None:
    """Each row costs its JSON and a comma; a row is given out whole or not at all."""
    result = results.inline([["ä", "b", "c"]], cap + 1)  # "ä" in quotes takes four bytes
    assert len(result.statements[0].rows) == rows
    assert result.truncated is (rows < 3)


@given(_ROWS, st.integers(0, 200))
def test_what_is_given_out_fits_and_is_a_beginning(statements: list[list[Any]], cap: int) -> None:
    """The rows given out fit the cap and are the first ones; nothing is reordered, changed or lost unsaid."""
    result = results.inline(statements, cap)
    assert [part.row_count for part in result.statements] == [len(rows) for rows in statements]
    kept = [row for part in result.statements for row in part.rows]
    assert kept == [row for rows in statements for row in rows][: len(kept)]
    assert sum(_bytes(row) + 1 for row in kept) <= cap or not kept
    assert result.truncated is (len(kept) < sum(map(len, statements)))


def test_huge_numbers_are_rows_too() -> None:
    """A DECIMAL of 38 digits goes through."""
    result = results.inline([[{"n": 10**37}]], 1000)
    assert result.statements[0].rows == [{"n": 10**37}]


def test_reply_is_reported_without_what_must_not_be_seen() -> None:
    """Arguments, properties, SQL text and secrets are left out, however deep they stand and however they are spelt."""
    body = {
        "job": {"job_id": "j-1", "arguments": ["hidden"], "properties": {"a": "hidden"}},
        "rows": [{"sql": "hidden", "id": 1}, {"hql": "hidden"}, {"nodeRootPassword": "hidden"}],
        "security_token": "hidden",
        "accessKey": "hidden",
    }
    output = results.reply(base.Reply.model_validate(body), 1000)
    assert output.reply == {"job": {"job_id": "j-1"}, "rows": [{"id": 1}, {}, {}]}


def test_what_v11_shows_of_a_run_and_scripts_of_a_cluster_are_reported_without_arguments() -> None:
    """A run's configuration and what Oozie says of it, and the arguments of scripts, are arguments by other names."""
    configs = {"configs": {"a": "hidden"}, "args": ["hidden"], "params": {"b": "hidden"}}
    body = {
        "job_execution": {"id": "e-1", "job_configs": configs, "info": {"status": "KILLED", "conf": "hidden"}},
        "job_executions": [{"id": "e-2", "job_configs": None, "info": "hidden"}],
        "cluster": {"bootstrapScripts": [{"name": "s", "parameters": "--key hidden"}]},
    }
    output = results.reply(base.Reply.model_validate(body), 1000)
    assert output.reply == {
        "job_execution": {"id": "e-1", "info": {"status": "KILLED"}},
        "job_executions": [{"id": "e-2"}],
        "cluster": {"bootstrapScripts": [{"name": "s"}]},
    }


def test_reply_that_is_too_large_is_left_out_and_said_so() -> None:
    """An event stays small; the outcome is reported all the same."""
    output = results.reply(base.Reply.model_validate({"text": "a" * 100}), 100)
    assert (output.reply, output.truncated) == (None, True)
    assert output.unavailable == "the reply has 111 bytes; at most 100 fit into an event"
