"""Statements of Presto: which may be repeated, and how they are sent."""

from __future__ import annotations

import pytest

from mrs_relay.engine.work import statement as statement_work


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        "SELECT 1",
        "\n\t  Select 1",
        "(select 1) union (select 2)",
        "((select 1))",
        "-- a comment\nselect 1",
        "--\r\nselect 1",
        "-- insert\rselect 1",
        "/* insert */ select 1",
        "/* a */ -- b\n /* c\n */ ( /* d */ select 1)",
        "/* -- */ select 1",
        "/*/ insert */ select 1",
        "with t as (select 1) select * from t",
        "show tables",
        "desc t",
        "DESCRIBE t",
        "values 1, 2",
        "explain select 1",
        "explain insert into t values 1",
        "explain (type distributed) select 1",
        "select 'insert into t'",
        "select(1)",
        "select/**/1",
        "select 1 -- ; insert into t values 1",
        "explain select 'analyze' /* analyze */",
        "with x as (select 'insert' as a) select * from x -- delete",
    ],
)
def test_statement_that_only_reads_is_repeatable(statement: str) -> None:
    """SELECT, SHOW, DESC, VALUES, WITH and EXPLAIN only read, behind comments and parentheses, in any case."""
    assert statement_work.is_repeatable(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "insert into t select 1",
        "INSERT INTO t SELECT 1",
        "create table t as select 1",
        "CREATE TABLE t AS (WITH x AS (SELECT 1) SELECT * FROM x)",
        "delete from t",
        "update t set a = 1",
        "merge into t using u on 1 = 1 when matched then delete",
        "drop table t",
        "alter table t add column a int",
        "truncate table t",
        "call system.sync()",
        "grant select on t to u",
        "execute p",
        "prepare p from select 1",
        "start transaction",
        "set session a = 1",
        "use sales",
        "-- select\ninsert into t values 1",
        "-- select\rinsert into t values 1",
        "-- c\rinsert into t\nselect 1",
        "/* select */ insert into t values 1",
        "/* unterminated select 1",
        "explain analyze insert into t values 1",
        "EXPLAIN  ANALYZE VERBOSE insert into t values 1",
        "explain\nanalyze\ninsert into t values 1",
        "explain /* really */ analyze insert into t values 1",
        "explain -- really\nanalyze insert into t values 1",
        "explain/**/analyze insert into t values 1",
        "explain (type io) /* ; */ analyze insert into t values 1",
        "with x as (select 1) insert into t select * from x",
        "WITH x AS (select 1 -- a\n) DELETE FROM t",
        "with x as (select ';--') merge into t using x on true when matched then delete",
        "selected",
        "showy",
        "select_1",
        "; select 1",
        "'select 1'",
        "\u0131nsert into t select 1",
    ],
)
def test_statement_that_may_write_is_not_repeatable(statement: str) -> None:
    """Anything else may do harm when it runs twice; EXPLAIN ANALYZE runs what it explains."""
    assert not statement_work.is_repeatable(statement)


@pytest.mark.parametrize("piece", ["/*", "/**/", "--", "(", "-- x\n", "explain ", "/*/", "\n", "select "])
def test_long_noise_is_judged_quickly(piece: str) -> None:
    """No statement of legal length makes the judgement slow."""
    statement = (piece * 150_000)[:149_800]
    assert statement_work.is_repeatable(statement) in {True, False}
    assert statement_work.is_repeatable("explain " + statement) in {True, False}
