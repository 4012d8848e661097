"""Statements that an engine takes are not refused by the checks that look for mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from mrs_emulator.core import settings
from mrs_emulator.sql import sql, statement

TABLES = """
create table orders (id int, customer_id int, amount double, day date);
create table customers (id int, name string);
create table odd (`select` int, `limit` int, `end` int, `from` int);
create table totals (customer_id int, total double);
insert into orders values (1, 7, 10, date '2024-01-01')
"""

EVERYWHERE = [
    "select case when exists (select 1 from customers) then 1 else 0 end from orders",
    "select sum(case when id in (select id from customers) then 1 else 0 end) as n from orders",
    "select case when (select count(*) from customers) > 0 then 1 else 2 end as z",
    "select case when extract(year from day) > 2000 then 1 else 0 end from orders",
    "select o.limit, o.end, o.id from (select `limit`, `end`, `select` as id from odd) o",
    "select `select`, `from` from odd where `limit` > 1",
    "insert into totals select * from totals a join (select customer_id from orders) b using (customer_id)",
    "select o.id, (select max(c.id) + o.id from customers c) as m from orders o",
    "select id, if(id > 1, amount, null) as big from orders",
    "select id from orders order by 1",
]
HIVE_AND_SPARK = [
    "insert into orders select * from orders o left semi join customers c on o.customer_id = c.id",
    "select * from orders o left semi join customers c on o.customer_id = c.id where id > 0",
    "with o as (select * from orders) insert into totals select customer_id, sum(amount) from o group by customer_id",
]
SPARK = [
    "select amount + 1 as more, more * 2 as twice from orders",
    "select customer_id, sum(amount) as s, s / count(*) as mean from orders group by customer_id",
    "select * from orders o left anti join customers c on o.customer_id = c.id where id > 0",
    "select id as start, customer_id as end from orders",
    "select id from customers where (id, name) in (select id, name from customers)",
]
PRESTO = [
    "select customer_id, grouping(customer_id) as g, count(*) as n from orders group by rollup (customer_id)",
    "select * from orders natural join customers",
    "select id /* not `id` */ from orders where cast(id as varchar) <> '`'",
]
_STATEMENTS: dict[statement.Dialect, list[str]] = {
    "spark": [*EVERYWHERE, *HIVE_AND_SPARK, *SPARK],
    "hive": [*EVERYWHERE, *HIVE_AND_SPARK],
    "presto": [*(one.replace("`", '"') for one in EVERYWHERE), *PRESTO],
}


async def _errors(spoken: statement.Dialect, texts: Sequence[str]) -> dict[str, str | None]:
    """Return what each statement ends with, on tables made before."""
    warehouse = sql.Warehouse(settings.Sql(threads=1), None)
    try:
        made = await warehouse.submit(sql.Work(partial(str, TABLES), "spark"))[1]
        assert made.error is None
        return {text: (await warehouse.submit(sql.Work(partial(str, text), spoken))[1]).error for text in texts}
    finally:
        await warehouse.close()


@pytest.mark.parametrize("spoken", list(_STATEMENTS))
async def test_right_statements_run(spoken: statement.Dialect) -> None:
    """Names that are keywords, brackets inside of CASE, joins that hide columns: none of them is a mistake."""
    texts = _STATEMENTS[spoken]
    assert await _errors(spoken, texts) == dict.fromkeys(texts)


@pytest.mark.parametrize(
    ("spoken", "text", "error"),
    [
        ("hive", "select grouping__id from orders", "not played: the column grouping__id; leave it out"),
        ("presto", "select `id` from orders where day is null or 'x' = 'y'", "line 1:8: backquoted identifiers"),
        ("spark", "select case from orders", "not played: a statement where CASE has no END before FROM"),
        ("spark", "select case when id > 1 then 2 from orders", "Syntax error at or near 'id'"),
        (
            "presto",
            "select customer_id from orders group by customer_id having count(*) > id",
            "line 1:69: '(count(*) > id)' must be an aggregate expression or appear in GROUP BY clause",
        ),
    ],
)
async def test_mistake_is_named_as_it_is(spoken: statement.Dialect, text: str, error: str) -> None:
    """An error names what the statement has."""
    (found,) = (await _errors(spoken, [text])).values()
    assert error in (found or "")
