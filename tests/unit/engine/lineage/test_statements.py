"""Which tables SQL reads and writes, and where its columns come from, as far as sqlglot can tell."""

from __future__ import annotations

import pathlib
import time

import pytest

import mrs_emulator.sql.tpch
from mrs_relay.engine.lineage import statements


def _names(tables: tuple[statements.Table, ...]) -> list[str]:
    return [".".join(filter(None, (one.catalog, one.database, one.name))) for one in tables]


@pytest.mark.parametrize(
    ("dialect", "sql", "inputs", "outputs"),
    [
        ("spark", "select 1", [], []),
        ("spark", "SELECT * FROM A.T t JOIN u ON t.i = u.i", ["a.t", "dw.u"], []),
        ("spark", "use x; select * from t; use y; insert into u select * from t", ["x.t", "y.t"], ["y.u"]),
        ("presto", "with t as (select * from t) select * from t, w", ["dw.t", "dw.w"], []),
        ("presto", "with recursive t(n) as (select 1 union all select n + 1 from t) select * from t", [], []),
        ("presto", "insert into hive.d.t select * from mysql.d.u", ["mysql.d.u"], ["hive.d.t"]),
        ("hive", "from a insert overwrite table b select x insert into c select y", ["dw.a"], ["dw.b", "dw.c"]),
        ("hive", "insert overwrite table b partition (dt='1') select * from a", ["dw.a"], ["dw.b"]),
        ("spark", "create temporary view v as select * from a; insert into b select * from v", ["dw.a"], ["dw.b"]),
        ("spark", "create or replace view v as select * from a", ["dw.a"], ["dw.v"]),
        ("spark", "create table t (a int)", [], ["dw.t"]),
        ("spark", "merge into t using s on t.i = s.i when matched then delete", ["dw.s"], ["dw.t"]),
        ("spark", "delete from t where x in (select y from u)", ["dw.u"], ["dw.t"]),
        ("hive", "load data inpath 'obs://b/c' into table t", [], ["dw.t"]),
        ("spark", "select * from range(10)", [], []),
        ("spark", "drop table t", [], []),
        ("spark", "set a=b; refresh table c; analyze table d compute statistics", [], []),
        ("hive", "msck repair table t", [], []),
        ("hive", "select * from ${hiveconf:t}", [], []),
        ("spark", "insrt into t selec", [], []),
        ("spark", f"select {'(' * 300}1{')' * 300} from t", [], []),
    ],
)
def test_tables_of_sql(dialect: str, sql: str, inputs: list[str], outputs: list[str]) -> None:
    """A name without a database belongs to the present one; temporary views and WITH are no tables."""
    found = statements.read(sql, dialect, "dw")
    assert _names(found.inputs) == inputs
    assert _names(tuple(table for table, _ in found.outputs)) == outputs


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        (
            "create table o as select a.x as y, sum(b.v) + a.z s from d.a a join b on a.i = b.i group by 1",
            {"y": ["d.a.x"], "s": ["d.a.z", "dw.b.v"]},
        ),
        ("insert into o (p, q) select x, 1 from t", {"p": ["dw.t.x"], "q": []}),
        ("create view o as with w as (select f as g from t) select g from w", {"g": ["dw.t.f"]}),
        ("insert into o select x from t", {}),
        ("create table o as select * from t", {}),
        ("create table o as select x from t, u where t.i in (select i from w where x = 1)", {}),
    ],
)
def test_origin_of_columns(sql: str, columns: dict[str, list[str]]) -> None:
    """Only what is certain: no stars, no columns by position, none whose table is not clear."""
    ((_, found),) = statements.read(sql, "spark", "dw").outputs
    shown = {name: [f"{table.database}.{table.name}.{field}" for table, field in origin] for name, origin in found}
    assert shown == columns


def test_redacted_text_has_no_literal_no_comment_and_no_setting() -> None:
    """Of statements without data only the kind is written."""
    sql = "set fs.secret=abc; /* abc */ select 'abc', 123, \"abc\" from t where x like 'abc%' -- abc"
    text = statements.read(sql, "spark", "dw").redacted
    assert text == "SET …; SELECT ?, ?, ? FROM t WHERE x LIKE ?"


def test_sql_beyond_the_limit_has_no_tables() -> None:
    """It would take too long."""
    sql = f"select * from t where a in ({', '.join(['1'] * statements.MAX_LENGTH)})"
    assert statements.read(sql, "spark", "dw") == statements.NOTHING


def test_queries_of_tpch_are_all_understood() -> None:
    """Every one has its tables."""
    folder = pathlib.Path(mrs_emulator.sql.tpch.__file__).parent
    for path in sorted(folder.glob("*.sql")):
        found = statements.read(f"create table o as {path.read_text()}", "spark", "tpch")
        assert found.inputs, path.name


@pytest.mark.parametrize("dialect", ["spark", "hive", "presto"])
@pytest.mark.parametrize("word", ["struct(", "row("])
def test_sql_that_sqlglot_reads_in_exponential_time_is_given_up(dialect: str, word: str) -> None:
    """Each of these levels is read twice: 60 of them would hold the relay's loop, or a thread, for ever."""
    begun_s = time.thread_time()
    assert statements.read(f"select {word * 60}1{')' * 60} from t", dialect, "dw") == statements.NOTHING
    assert time.thread_time() - begun_s < 0.5


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("hive", "select get_json_object(a, '$.hush') from t"),
        ("presto", "select json_extract_scalar(a, '$.hush'), U&'hush' from t"),
        ("presto", "select x'68757368' from t"),
        ("spark", "select r'hush', x'68757368' from t"),
    ],
)
def test_literals_of_all_kinds_are_hidden(dialect: str, sql: str) -> None:
    """Raw, Unicode and binary ones, and the paths of JSON."""
    redacted = statements.read(sql, dialect, "dw").redacted
    assert redacted
    assert not any(word in redacted.lower() for word in ("hush", "68757368"))


@pytest.mark.parametrize(
    ("sql", "depth"),
    [
        ("select a < 1, b > 2, c -> d from t where e < 3", 0),
        ("select f(g(1), h(2)), x[1] from (select 1)", 2),
        ("cast(a as ARRAY<map <int, struct<b: int>>>)", 4),
        (f"select cast(1 as {'array<' * 200}int{'>' * 200})", 201),
    ],
)
def test_nesting_of_sql(sql: str, depth: int) -> None:
    """Comparisons are no brackets; SQL that is nested too deeply is not parsed."""
    assert statements.nesting(sql) == depth
    if depth > 60:
        assert statements.read(sql, "spark", "dw") == statements.NOTHING
