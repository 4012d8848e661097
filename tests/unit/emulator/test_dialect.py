"""What each statement of a dialect means to DuckDB, and which ones are turned away."""

from __future__ import annotations

import pytest

from mrs_emulator.core import failures
from mrs_emulator.sql import catalogue, checks, dialect, statement

DIALECTS: tuple[statement.Dialect, ...] = ("presto", "hive", "spark")


def one(text: str, spoken: statement.Dialect = "spark") -> statement.Statement:
    """Return the only statement of a text."""
    (found,) = dialect.translate(text, spoken)
    return found


def test_text_is_split_at_semicolons_outside_of_strings_and_comments() -> None:
    """Only semicolons that separate statements do; empty statements vanish."""
    text = "select 'a;b' as x; -- first; comment\n;; select /* ; */ 2 as y;"
    assert [found.steps for found in dialect.translate(text, "hive")] == [
        ("SELECT 'a;b' AS x",),
        ("SELECT 2 AS y",),
    ]


@pytest.mark.parametrize("spoken", DIALECTS)
def test_default_database_and_hive_catalog_are_duckdb_schema_main(spoken: statement.Dialect) -> None:
    """`default` and `hive.default` name the tables of the data folder."""
    for name in ("default.t", "hive.default.t"):
        exists = "IF EXISTS " if spoken == "hive" else ""  # Hive says nothing about a table that is not there
        assert one(f"drop table {name}", spoken).steps == (f"DROP TABLE {exists}main.t",)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("select 1 as a", statement.Kind.ROWS),
        ("with x as (select 1 as a) select * from x", statement.Kind.ROWS),
        ("select 1 as a union all select 2", statement.Kind.ROWS),
        ("(select 1 as a)", statement.Kind.ROWS),
        ("values (1)", statement.Kind.ROWS),
        ("show tables", statement.Kind.ROWS),
        ("desc t", statement.Kind.ROWS),
        ("explain select 1 as a", statement.Kind.ROWS),
        ("insert into t values (1)", statement.Kind.WRITE),
        ("create table t (a int)", statement.Kind.WRITE),
        ("create database d", statement.Kind.WRITE),
        ("drop table t", statement.Kind.WRITE),
        ("alter table t rename to u", statement.Kind.WRITE),
        ("truncate table t", statement.Kind.WRITE),
        ("delete from t", statement.Kind.WRITE),
        ("update t set a = 1", statement.Kind.WRITE),
        ("use d", statement.Kind.SESSION),
        ("set hive.exec.parallel=true", statement.Kind.NOTHING),
        ("analyze table t compute statistics", statement.Kind.NOTHING),
        ("cache table t", statement.Kind.NOTHING),
        ("msck repair table t", statement.Kind.NOTHING),
    ],
)
def test_kind_of_statement(text: str, kind: statement.Kind) -> None:
    """Queries give rows, DDL and DML write, and what tunes Spark or Hive means nothing here."""
    assert one(text).kind is kind


@pytest.mark.parametrize("spoken", DIALECTS)
@pytest.mark.parametrize(
    "text",
    [
        "copy t to '/tmp/x'",
        "grant select on t to u",
        "call system.sync()",
        "create function f as 1",
        "begin",
        "commit",
        "pragma database_list",
        "show functions",
        "explain insert into t values (1)",
        "create table t (a int) location 'obs://b/k'",
    ],
)
def test_statement_that_is_not_played_is_refused(text: str, spoken: statement.Dialect) -> None:
    """Nothing outside of queries, DDL and DML reaches DuckDB: no files, no settings, no transactions."""
    with pytest.raises(failures.SqlRefused):
        dialect.translate(text, spoken)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("select * from", 1, 14), ("select a\n  from t where where", 2, 16)],
)
def test_syntax_error_says_where(text: str, line: int, column: int) -> None:
    """Line and column, counted from 1, of the word that does not fit."""
    nothing = catalogue.Catalogue(lambda *_: [], frozenset())
    with pytest.raises(failures.SqlRefused, match="mismatched input") as caught:
        checks.check(text, "presto", nothing)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_unclosed_quote_is_a_syntax_error() -> None:
    """A text that cannot even be cut into words is refused, too."""
    with pytest.raises(failures.SqlRefused, match="near '''"):
        dialect.translate("select 'oops", "spark")


@pytest.mark.parametrize(
    ("spoken", "names"),
    [("presto", ["a", "_col1", "_col2"]), ("hive", ["a", "_c1", "_c2"]), ("spark", ["a", "count(1)", "sum(b)"])],
)
def test_columns_without_a_name_are_named_as_the_dialect_does(spoken: statement.Dialect, names: list[str]) -> None:
    """Presto counts them, Hive counts them otherwise, Spark writes the expression."""
    (sql,) = one("select a, count(*), sum(b) from t group by a", spoken).steps
    for name in names[1:]:
        assert f'AS "{name}"' in sql


def test_hive_and_spark_read_double_quotes_as_text_and_presto_as_a_name() -> None:
    """The dialects disagree on quotes."""
    assert one('select "a" as x', "hive").steps == ("SELECT 'a' AS x",)
    assert one('select "a" as x from t', "presto").steps == ('SELECT "a" AS x FROM t',)


def test_create_table_loses_storage_and_gains_partition_columns() -> None:
    """File formats, comments and table properties mean nothing here; Hive's partition columns are columns."""
    text = (
        "create external table if not exists d.t (a int comment 'first') comment 'c' partitioned by (dt string) "
        "row format delimited fields terminated by ',' stored as orc tblproperties ('k'='v')"
    )
    assert one(text, "hive").steps == ("CREATE TABLE IF NOT EXISTS d.t (a INT, dt TEXT)",)
    assert one("create table t using parquet as select 1 as a").steps == ("CREATE TABLE t AS SELECT 1 AS a",)
    assert one("create table t with (format = 'ORC') as select 1 as a", "presto").steps == (
        "CREATE TABLE t AS SELECT 1 AS a",
    )


def test_insert_into_a_fixed_partition_adds_its_column() -> None:
    """PARTITION (dt='x') becomes the last column of every row."""
    (sql,) = one("insert into t partition (dt='x') select a from s", "hive").steps
    assert sql == "INSERT INTO t SELECT *, 'x' AS dt FROM (SELECT a FROM s) AS __rows"


def test_insert_overwrite_replaces_the_table_or_the_partition() -> None:
    """The rows are worked out first, since they may come from the table itself."""
    steps = one("insert overwrite table t select a from t").steps
    assert [step.split()[0] for step in steps] == ["CREATE", "DELETE", "INSERT", "DROP"]
    assert "WHERE" not in steps[1]
    assert one("insert overwrite table t partition (dt='x') select a from s").steps[1] == (
        "DELETE FROM t WHERE \"dt\" = 'x'"
    )


def test_mixed_partition_is_refused() -> None:
    """Fixed and dynamic partition columns in one clause are not played."""
    with pytest.raises(failures.SqlRefused, match="not played: a PARTITION clause that mixes"):
        one("insert into t partition (a='x', b) select 1, 2")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("insert into t values (1)", (None, "t")),
        ("insert into default.t (a) values (1)", ("main", "t")),
        ("delete from t", (None, "t")),
        ("truncate table t", (None, "t")),
        ("drop table t", (None, "t")),
        ("drop view t", None),
        ("create view t as select 1 as a", None),
        ("create schema t", None),
    ],
)
def test_table_that_is_written_is_known(text: str, target: tuple[str | None, str] | None) -> None:
    """So that a file can become a table before it is written."""
    assert one(text).target == target


def test_moments_carry_no_time_zone() -> None:
    """Spark's timestamps are read in UTC; zones would need more than DuckDB hands over."""
    (sql,) = one("select timestamp '2026-01-01 00:00:00' as a, current_timestamp() as b").steps
    assert "TIMESTAMPTZ" not in sql
    assert "CURRENT_TIMESTAMP AS TIMESTAMP" in sql or "__TIMESTAMP(CURRENT_TIMESTAMP" in sql


@pytest.mark.parametrize(
    ("duckdb_type", "names"),
    [
        ("VARCHAR", ("varchar", "string", "string")),
        ("BIGINT", ("bigint", "bigint", "bigint")),
        ("INTEGER", ("integer", "int", "int")),
        ("DECIMAL(15,2)", ("decimal(15,2)", "decimal(15,2)", "decimal(15,2)")),
        ("NO SUCH(TYPE", ("no such(type",) * 3),
    ],
)
def test_type_names_follow_the_dialect(duckdb_type: str, names: tuple[str, str, str]) -> None:
    """DESC speaks the dialect; an unknown word is passed on."""
    assert tuple(dialect.type_name(duckdb_type, spoken) for spoken in DIALECTS) == names
