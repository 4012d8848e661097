"""TPC-H at scale 1 through all three dialects: what DuckDB gives for the original text, and the published answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb
import pytest

from mrs_relay.emulator import settings, sql, statement, tpch

DIALECTS: tuple[statement.Dialect, ...] = ("presto", "hive", "spark")

PUBLISHED: dict[int, tuple[object, ...]] = {
    1: ("A", "F", 37734107.00, 56586554400.73, 53758257134.87, 55909065222.83, 25.52, 38273.13, 0.05, 1478493.0),
    4: ("1-URGENT", 10594.0),
    6: (123141078.23,),
    12: ("MAIL", 6202.0, 9324.0),
    14: (16.38,),
    17: (348406.05,),
    19: (3083843.06,),
}
"""First rows of the answers at scale 1, in two digits. Source: TPC-H specification, qualification database."""


def rounded(rows: list[sql.Row], digits: int) -> list[sql.Row]:
    """Rows with numbers of any type rounded alike; everything else as it is."""
    return [
        tuple(round(float(value), digits) if isinstance(value, int | float | Decimal) else value for value in row)
        for row in rows
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The eight tables at scale 1, as Parquet files of 345 MB together."""
    folder = tmp_path_factory.mktemp("tpch-1")
    program = Path(sys.executable).with_name("tpchgen-cli")
    subprocess.run([program, "parquet", "-s", "1", f"--output-dir={folder}", "-q"], check=True, timeout=200)
    return folder


@pytest.fixture(scope="module")
def expected(files: Path) -> Iterator[dict[int, list[sql.Row]]]:
    """Answers of DuckDB on the same files, without the emulator."""
    with duckdb.connect() as connection:
        for file in files.glob("*.parquet"):
            connection.execute(f"CREATE VIEW {file.stem} AS SELECT * FROM read_parquet('{file}')")
        yield {
            number: rounded(connection.execute(tpch.query(number)).fetchall(), 4) for number in range(1, tpch.COUNT + 1)
        }


@pytest.mark.parametrize("spoken", DIALECTS)
async def test_all_queries_at_scale_1(
    spoken: statement.Dialect, files: Path, expected: dict[int, list[sql.Row]]
) -> None:
    """Same rows in the same order for all 22, and the published numbers where they are known by heart."""
    warehouse = sql.Warehouse(settings.Sql(rows_kept=50_000), files)  # Q16 has 18,314 rows
    different = []
    try:
        for number in range(1, tpch.COUNT + 1):
            _, ending = warehouse.submit(sql.Work(partial(str, tpch.query(number)), spoken))
            outcome = await ending
            assert outcome.error is None, (number, outcome.error)
            (answer,) = outcome.answers
            assert not answer.cut
            rows = list(answer.rows)
            if rounded(rows, 4) != expected[number]:
                different.append(number)
            if number in PUBLISHED:
                assert rounded(rows[:1], 2) == [PUBLISHED[number]]
    finally:
        await warehouse.close()
    assert different == []
