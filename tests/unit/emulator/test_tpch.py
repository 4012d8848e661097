"""The 22 TPC-H queries through each dialect give what DuckDB gives for the original text."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb
import pytest

from mrs_emulator.core import settings
from mrs_emulator.sql import sql, statement, tpch

NUMBERS = range(1, tpch.COUNT + 1)
DIALECTS: tuple[statement.Dialect, ...] = ("presto", "hive", "spark")


@pytest.fixture(scope="module")
def direct(tpch_files: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB on the same files, without the emulator."""
    with duckdb.connect() as connection:
        for file in tpch_files.glob("*.parquet"):
            connection.execute(f"CREATE VIEW {file.stem} AS SELECT * FROM read_parquet('{file}')")
        yield connection


def same(got: object, expected: object) -> bool:
    """Compare numbers of any type with the digits that both have; averages of decimals are decimals or doubles."""
    if not isinstance(got, int | float | Decimal) or not isinstance(expected, int | float | Decimal):
        return got == expected
    digits = -int(got.as_tuple().exponent) if isinstance(got, Decimal) else 6
    return abs(float(got) - float(expected)) <= 0.5 * 10.0 ** -min(6, digits) + 1e-6


def equal(got: list[sql.Row], expected: list[sql.Row]) -> bool:
    """Return whether rows have the same values in the same order."""
    return len(got) == len(expected) and all(
        len(one) == len(other) and all(map(same, one, other)) for one, other in zip(got, expected, strict=True)
    )


@pytest.mark.parametrize("spoken", DIALECTS)
async def test_all_queries_equal_duckdb(
    spoken: statement.Dialect, tpch_files: Path, direct: duckdb.DuckDBPyConnection
) -> None:
    """No query changes its answer on the way through a dialect: same columns, same rows, same order."""
    warehouse = sql.Warehouse(settings.Sql(), tpch_files)
    different = []

    try:
        for number in NUMBERS:
            text = tpch.query(number)
            _, ending = warehouse.submit(sql.Work(partial(str, text), spoken))
            outcome = await ending
            assert outcome.error is None, (number, outcome.error)
            expected = direct.execute(text)
            columns = tuple(column[0] for column in expected.description)
            answer = outcome.answers[0]
            if answer.columns != columns or not equal(list(answer.rows), expected.fetchall()):
                different.append(number)
    finally:
        await warehouse.close()

    assert different == []


def test_known_answers_of_the_standard_parameters(direct: duckdb.DuckDBPyConnection) -> None:
    """The texts are TPC-H's: at scale 0.01 they give the published answers, here of six queries."""

    def answer(number: int) -> list[sql.Row]:
        return [
            tuple(round(float(value), 6) if isinstance(value, int | float | Decimal) else value for value in row)
            for row in direct.execute(tpch.query(number)).fetchall()
        ]

    assert answer(1)[1] == ("N", "F", 8971.0, 12384801.37, 11798257.208, 12282485.056933, 25.778736, 35588.509684,
                            0.047759, 348.0)  # fmt: skip
    assert answer(4)[0] == ("1-URGENT", 93.0)
    assert answer(6) == [(1193053.2253,)]
    assert answer(3)[0] == (47714.0, 267010.5894, dt.date(1995, 3, 11), 0.0)
    assert answer(14) == [(15.486546,)]
    assert answer(19) == [(22923.028,)]


def test_every_query_is_one_statement_without_semicolon() -> None:
    """ExecuteSql takes one statement without a semicolon, so the texts have none."""
    assert all(";" not in tpch.query(number) for number in NUMBERS)
    assert len({tpch.query(number) for number in NUMBERS}) == 22


@pytest.mark.parametrize("number", [0, 23, -1])
def test_query_that_does_not_exist_is_an_error(number: int) -> None:
    """There are 22."""
    with pytest.raises(ValueError, match="1 to 22"):
        tpch.query(number)


async def test_queries_run_side_by_side(tpch_files: Path) -> None:
    """Several readers at once get their own answers."""
    texts = [f"values ({number})" for number in range(20)]
    warehouse = sql.Warehouse(settings.Sql(threads=4), tpch_files)
    try:
        endings = [warehouse.submit(sql.Work(partial(str, text), "spark"))[1] for text in texts]
        async with asyncio.timeout(60):
            outcomes = [await ending for ending in endings]
    finally:
        await warehouse.close()
    assert [outcome.answers[0].rows for outcome in outcomes] == [((number,),) for number in range(20)]
