"""TPC-H at scale 1: the published answers. That no dialect changes an answer, `unit/emulator/test_tpch.py` proves."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from mrs_emulator.core import settings
from mrs_emulator.sql import sql, statement, tpch

DIALECTS: tuple[statement.Dialect, ...] = ("presto", "hive", "spark")

PUBLISHED: dict[int, tuple[int, tuple[object, ...]]] = {
    1: (4, ("A", "F", 37734107.00, 56586554400.73, 53758257134.87, 55909065222.83, 25.52, 38273.13, 0.05, 1478493.0)),
    2: (100, (9938.53, "Supplier#000005359", "UNITED KINGDOM", 185358.0, "Manufacturer#4")),
    3: (10, (2456423.0, 406181.01, dt.date(1995, 3, 5), 0.0)),
    4: (5, ("1-URGENT", 10594.0)),
    5: (5, ("INDONESIA", 55502041.17)),
    6: (1, (123141078.23,)),
    7: (4, ("FRANCE", "GERMANY", 1995.0, 54639732.73)),
    8: (2, (1995.0, 0.03)),
    9: (175, ("ALGERIA", 1998.0, 27136900.18)),
    10: (20, (57040.0, "Customer#000057040", 734235.25, 632.87, "JAPAN")),
    11: (1048, (129760.0, 17538456.86)),
    12: (2, ("MAIL", 6202.0, 9324.0)),
    13: (42, (0.0, 50005.0)),
    14: (1, (16.38,)),
    15: (1, (8449.0, "Supplier#000008449", "Wp34zim9qYFbVctdW", "20-469-856-8873", 1772627.21)),
    16: (18314, ("Brand#41", "MEDIUM BRUSHED TIN", 3.0, 28.0)),
    17: (1, (348406.05,)),
    18: (57, ("Customer#000128120", 128120.0, 4722021.0, dt.date(1994, 4, 7), 544089.09, 323.0)),
    19: (1, (3083843.06,)),
    20: (186, ("Supplier#000000020", "iybAE,RmTymrZVYaFZva2SH,j")),
    21: (100, ("Supplier#000002829", 20.0)),
    22: (7, ("13", 888.0, 6737713.99)),
}
"""
How many rows each answer has at scale 1, and how the first begins, in two digits.

Source: answers of the qualification database, as published with the TPC-H specification. DuckDB's `tpch` extension
publishes the same but for some addresses and comments, which its generator words otherwise (in 10, 13 and 15).
"""


def rounded(rows: list[sql.Row]) -> list[sql.Row]:
    """Return rows with numbers of any type rounded to two digits; everything else as it is."""
    return [
        tuple(round(float(value), 2) if isinstance(value, int | float | Decimal) else value for value in row)
        for row in rows
    ]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The eight tables at scale 1, as Parquet files of 345 MB together."""
    program = Path(sys.executable).with_name("tpchgen-cli")
    subprocess.run([program, "parquet", "-s", "1", f"--output-dir={tmp_path}", "-q"], check=True, timeout=200)
    return tmp_path


async def test_all_queries_at_scale_1_give_the_published_answers(files: Path) -> None:
    """All 22, through the three dialects in turn: so many rows, and this one first."""
    warehouse = sql.Warehouse(settings.Sql(rows_kept=50_000), files)  # Q16 has 18,314 rows
    try:
        for number, (count, first) in PUBLISHED.items():
            spoken = DIALECTS[number % len(DIALECTS)]
            _, ending = warehouse.submit(sql.Work(partial(str, tpch.query(number)), spoken))
            outcome = await ending
            assert outcome.error is None, (number, outcome.error)
            (answer,) = outcome.answers
            assert not answer.cut
            rows = list(answer.rows)
            assert (number, len(rows), rounded(rows[:1])[0][: len(first)]) == (number, count, first)
    finally:
        await warehouse.close()
    assert len(PUBLISHED) == tpch.COUNT
