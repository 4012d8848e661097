"""Statements that once succeeded with wrong rows, and the one voice of refusals."""

from __future__ import annotations

from functools import partial

import pytest
from tests.unit.emulator.conftest import Opener

from mrs_emulator.core import settings
from mrs_emulator.sql import sql, statement


async def run(text: str, spoken: statement.Dialect, **variables: str) -> sql.Outcome:
    """Return the outcome of a text on a warehouse of its own."""
    warehouse = sql.Warehouse(settings.Sql(threads=1), None)
    try:
        return await warehouse.submit(sql.Work(partial(str, text), spoken, variables=variables))[1]
    finally:
        await warehouse.close()


async def rows(text: str, spoken: statement.Dialect = "hive", **variables: str) -> list[tuple[object, ...]]:
    """Return the rows of the last statement of a text, which succeeds."""
    outcome = await run(text, spoken, **variables)
    assert outcome.error is None
    return list(outcome.answers[-1].rows)


CITIES = "create table t (city string, n int); insert into t values ('a', 1), ('b', 2);"


@pytest.mark.parametrize(
    ("group", "spoken"),
    [
        ("city grouping sets ((city), ())", "hive"),
        ("city grouping sets ((city), ())", "spark"),
        ("grouping sets ((city), ())", "spark"),
        ("city with rollup", "hive"),
        ("rollup(city)", "spark"),
        ("rollup (city)", "presto"),
    ],
)
async def test_grouping_sets_give_one_row_a_group(group: str, spoken: statement.Dialect) -> None:
    """The total comes once, beside a row for each city."""
    table = CITIES if spoken != "presto" else CITIES.replace("string", "varchar")
    found = await rows(f"{table} select city, sum(n) as n from t group by {group}", spoken)
    assert sorted(found, key=str) == [("a", 1), ("b", 2), (None, 3)]


@pytest.mark.parametrize(("value", "expected"), [("-500", 12), ("-129", 127), ("128", -128), ("-70000", -112)])
async def test_whole_number_wraps_around_as_javas_do(value: str, expected: int) -> None:
    """Negative ones beyond the width as well; DuckDB's remainder has the sign of the dividend."""
    assert await rows(f"select cast({value} as tinyint) as v", "hive") == [(expected,)]


async def test_columns_of_a_set_operation_in_brackets_have_the_engines_names() -> None:
    """They are those of the first query, in brackets or not."""
    outcome = await run("(select 1, 2) union all select 3, 4", "presto")
    assert outcome.answers[-1].columns == ("_col0", "_col1")


async def test_view_without_a_query_is_refused() -> None:
    """It is no fault of the emulator's."""
    outcome = await run("create view v", "presto")
    assert outcome.error is not None
    assert "AS" in outcome.error


async def test_struct_does_not_fit_into_a_text_of_hive() -> None:
    """Nor a map into an array, as their first letters might suggest."""
    outcome = await run(
        "create table t (s string); create table u (x struct<a:int>); insert into t select x from u", "hive"
    )
    assert outcome.error is not None
    assert "INSERT of struct" in outcome.error


@pytest.mark.parametrize("spoken", ["hive", "spark"])
@pytest.mark.parametrize(("outer", "expected"), [("outer ", [(1, 7), (2, None)]), ("", [(1, 7)])])
async def test_lateral_view_outer_keeps_rows_without_elements(
    spoken: statement.Dialect, outer: str, expected: list[tuple[object, ...]]
) -> None:
    """An empty collection is a row with NULL under OUTER, and no row without."""
    text = (
        "select id, x from (select 1 as id, array(7) as xs union all select 2, array()) s "
        f"lateral view {outer}explode(xs) e as x order by id"
    )
    assert await rows(text, spoken) == expected


async def test_lateral_view_takes_a_map_apart() -> None:
    """Keys and values as two columns."""
    text = "select k, v from (select map('a', 1, 'b', 2) as m) s lateral view explode(m) e as k, v order by k"
    assert await rows(text) == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("spoken", ["hive", "spark"])
async def test_insert_overwrite_replaces_the_partitions_written(spoken: statement.Dialect) -> None:
    """Dynamic: those among the rows; static: the one named; without a clause: all."""
    made = "create table p (n int) partitioned by (dt string);insert into p values (1, 'a'), (2, 'b'), (3, 'c');"
    dynamic = "insert overwrite table p partition (dt) select 9 as x, 'b' as y; select * from p order by dt, n"
    assert await rows(made + dynamic, spoken) == [(1, "a"), (9, "b"), (3, "c")]
    static = "insert overwrite table p partition (dt='c') select 8; select * from p order by dt, n"
    assert await rows(made + static, spoken) == [(1, "a"), (2, "b"), (8, "c")]
    whole = "insert overwrite table p select 7, 'z'; select * from p"
    assert await rows(made + whole, spoken) == [(7, "z")]


async def test_variables_are_put_into_statements() -> None:
    """From SET, with or without a name space, and from the arguments; one that is not set is refused by name."""
    text = "set day=2026-11-30; set hivevar:n=2; select '${hiveconf:day}' as d, ${hivevar:n} + ${more} as n"
    assert await rows(text, more="40") == [("2026-11-30", 42)]
    outcome = await run("select '${hiveconf:nowhere}' as d", "hive")
    assert outcome.error is not None
    assert outcome.error.startswith("not played: the variable ${hiveconf:nowhere}, which is not set; SET nowhere=")


async def test_arguments_of_a_job_set_variables(open_client: Opener) -> None:
    """--hiveconf and --hivevar before the text."""
    async with open_client() as client:
        arguments = ["--hiveconf", "n=41", "--hivevar", "m=1", "select ${hiveconf:n} + ${hivevar:m} as n"]
        job_id = await client.submitted("s", "SparkSql", arguments=arguments)
        assert await client.ended(job_id) == ("FINISHED", "SUCCEEDED")
        assert (await client.results(job_id)).json()["sql_results"] == {"0": [{"n": 42}]}


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("select stack(2, 1, 2)", "hive"),
        ("select a from t lateral view posexplode(xs) e as p, q", "spark"),
        ("alter table t add partition (dt='a')", "hive"),
        ("alter table t drop partition (dt='a')", "hive"),
        ("select * from t tablesample (10 percent)", "spark"),
        ("select cast(array(1) as array<string>)", "spark"),
        ("select approx_percentile(x, 0.5) from t", "presto"),
        ("grant select on t to u", "presto"),
        ("select date_diff('century', date '2026-01-01', date '2026-01-02')", "spark"),
        ("select from_utc_timestamp('2026-11-30 10:11:12', 'Asia/Shanghai')", "hive"),
        ("select sum('a', 'b')", "spark"),
    ],
)
async def test_refusals_have_one_voice(text: str, spoken: statement.Dialect) -> None:
    """What is not played, and what to do; never DuckDB's words."""
    outcome = await run(f"create table t (a int, xs int, x int); {text}", spoken)
    assert outcome.error is not None
    assert outcome.error.startswith("not played: ") or "mismatched input" in outcome.error
    assert ";" in outcome.error or "mismatched input" in outcome.error
    assert "Binder" not in outcome.error
    assert "DuckDB" not in outcome.error


@pytest.mark.parametrize(
    ("text", "spoken", "error"),
    [
        ("select * from nope", "hive", "FAILED: SemanticException [Error 10001]: Line 1:14 Table not found 'nope'"),
        ("select 1 / 0", "presto", "Division by zero"),
        ("select cast('1.9' as integer)", "presto", "Cannot cast '1.9' to INT"),
    ],
)
async def test_frequent_mistakes_have_the_engines_words(text: str, spoken: statement.Dialect, error: str) -> None:
    """As its users know them."""
    assert (await run(text, spoken)).error == error
