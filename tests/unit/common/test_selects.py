"""What is one plain SELECT of Hive or Spark, and where its main SELECT stands."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mrs_relay.common import selects

PLAIN = {
    "select 1": "",
    "  SELECT a from t ; ;\n": "  ",
    "-- it's a comment\nselect 'a -- b', \"it's\" from t -- end": "-- it's a comment\n",
    "/* select */ select /*+ broadcast(t) */ 1 from t": "/* select */ ",
    "with a as (select 1), b (x) as (select ')') select x from b": "with a as (select 1), b (x) as (select ')') ",
    "with `with` as (select `a``b(` from t)select 1": "with `with` as (select `a``b(` from t)",
    "with a (select 1) select 1": "with a (select 1) ",
    "select 'it\\'s', \"\\\"\" from t where a in (select b from u)": "",
    "select 1 union all select 2 order by 1": "",
    "select `insert` from t where b = 'insert'": "",
    "select r'raw' from t": "",
    "select 1;-- bye": "",
}

OTHERS = [
    "",
    " ; -- nothing",
    "insert into t select 1",
    "insert overwrite directory 'obs://a/b' select 1",
    "with a as (select 1) insert into t select * from a",
    "with a as (select 1) from a insert into t select *",
    "from t select a",
    "from t insert into u select a insert into v select b",
    "select a from t insert into u select b",
    "explain select 1",
    "values (1)",
    "(select 1)",
    "show tables",
    "create table t as select 1",
    "set x=1; select 1",
    "select 1; select 2",
    "select ';'",
    "select 1 -- ; \n from t",
    "select 'open",
    "select 1 /* open",
    "select /* /* nested */ */ 1",
    "select 1 -- go on \\\n; drop table t",
    "select r'\\' from t",
    "select /*+ h('*/', ') */ 1",
    "select /*+ h(a -- */ 1",
    "select (1",
    "select 1)",
    "select ) 1 (",
    "use x",
    "selected from t",
    "with a as (select 1) delete from t",
    "with select 1",
]


@pytest.mark.parametrize("statement", PLAIN)
def test_plain_select_is_split_before_its_main_query(statement: str) -> None:
    """What stands before it stays before it."""
    before, select = selects.split(statement)
    assert before == PLAIN[statement]
    assert statement.startswith(before + select)
    assert select.lower().startswith("select")
    assert ";" not in before + select
    assert selects.is_plain(statement)


@pytest.mark.parametrize("statement", OTHERS)
def test_anything_else_is_refused_with_the_reason(statement: str) -> None:
    """Nothing of it would be sent."""
    with pytest.raises(ValueError, match=r"it |its |there "):
        selects.split(statement)
    assert not selects.is_plain(statement)


PIECES = ["select", "with a as (", ")", "insert", ";", "'", '"', "`", "--", "/*", "*/", "\\", "\n", " ", "r", "x", "("]


@given(st.sampled_from(["", "select x "]), st.lists(st.sampled_from(PIECES)), st.sampled_from(["", " x"]))
@example("select x ", [";"], " x")
@example("select x ", ["'", ";", "'"], "")
@example("select x ", ["--", ";", "\n"], " x")
def test_any_text_is_refused_or_split(begin: str, pieces: list[str], end: str) -> None:
    """Nothing is lost or made up, and no semicolon passes."""
    text = "".join([begin, *pieces, end])
    try:
        before, select = selects.split(text)
    except ValueError:
        return
    assert text.startswith(before + select)
    assert ";" not in before + select
    assert select[:6] == "select"
