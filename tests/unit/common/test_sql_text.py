"""Where a Presto statement ends, and what in it is code."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.common import sql_text


@pytest.mark.parametrize(
    ("statement", "alone"),
    [
        ("select 1", "select 1"),
        ("select 1 ;\n; ", "select 1"),
        ("select 1; -- done", "select 1"),
        ("select 1; /* a; b */ ; -- c", "select 1"),
        ("select 1 -- done;", "select 1"),
        ("select 1 -- done", "select 1 -- done"),
        ("select 1 -- a; b\n + 2", "select 1  \n + 2"),
        ("select 1 /* ; */ + 2", "select 1   + 2"),
        ("/* ; */ select 1", "  select 1"),
        ("select 'it''s -- not; a comment' -- ;", "select 'it''s -- not; a comment'"),
        ('select "a;" ;', 'select "a;"'),
        ("-- ;", ""),
    ],
)
def test_semicolons_of_the_end_and_of_comments_go(statement: str, alone: str) -> None:
    """Semicolons behind the statement and in comments mean nothing, wherever they stand; all else stays as it is."""
    assert sql_text.single(statement) == alone


@pytest.mark.parametrize(
    "statement",
    [
        "select 1; select 2",
        "select 1; -- a\nselect 2",
        "select 1 -- a\r; select 2",
        "select 1; /* a */ select 2",
        "select '--'; select 2",
        "select 'it''s'; select '2'",
        "select 1 /* never ends ; select 2",
        "select 'never ends ; select 2",
        'select "--"; drop table t',
        "select '/*'; drop table t; select '*/'",
    ],
)
def test_semicolons_between_statements_stay(statement: str) -> None:
    """No second statement hides behind a quote, a comment or the end of a line."""
    assert ";" in sql_text.single(statement)


@given(st.text(st.sampled_from("'\"`-/*; \n\ra"), max_size=30))
def test_code_keeps_its_places(statement: str) -> None:
    """Code has the statement's length, and its letters where they are code; what is alone needs no second look."""
    code = sql_text.code(statement)
    assert len(code) == len(statement)
    assert all(one in (letter, " ", "'") for one, letter in zip(code, statement, strict=True))
    assert sql_text.single(sql_text.single(statement)) == sql_text.single(statement)


@pytest.mark.parametrize("piece", ["/*", "/**/", "--", "'", "\"'", ";", "--;\n", "/*;*/", "x'"])
def test_long_statements_are_judged_quickly(piece: str) -> None:
    """No statement of legal length makes the judgement slow."""
    started = time.process_time()
    sql_text.single((piece * 150_000)[:149_800])
    assert time.process_time() - started < 3
