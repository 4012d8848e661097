"""INSERT OVERWRITE DIRECTORY of Spark and Hive: it writes JSON, or refuses."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mrs_emulator.core import settings
from mrs_emulator.sql import obs, sql, statement

SPARK = "using json options (ignoreNullFields 'false', compression 'none')"
HIVE = "row format serde 'org.apache.hadoop.hive.serde2.JsonSerDe' stored as textfile"
FORMS: dict[statement.Dialect, str] = {"spark": SPARK, "hive": HIVE}


async def run(root: Path, spoken: statement.Dialect, text: str) -> str | None:
    """Run SQL over a folder that plays OBS; returns its error."""
    warehouse = sql.Warehouse(settings.Sql(threads=1), None)
    try:
        _, ending = warehouse.submit(sql.Work(lambda: text, spoken, folder=obs.Obs(root)))
        return (await ending).error
    finally:
        await warehouse.close()


def rows(folder: Path) -> list[Any]:
    """Return the rows of a folder."""
    parts = sorted(one for one in folder.iterdir() if not one.name.startswith("_"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def files(folder: Path) -> list[Path]:
    """Return all files below a folder."""
    return [one for one in folder.rglob("*") if one.is_file()]


@pytest.mark.parametrize("spoken", ["spark", "hive"])
async def test_rows_replace_the_content_of_the_folder(tmp_path: Path, spoken: statement.Dialect) -> None:
    """Objects of the names that the engine gives, some with no row; NULL is there; a WITH may stand before."""
    into = f"insert overwrite directory 'obs://lake/x/' {FORMS[spoken]} "
    first = "select 1 as n, cast(null as string) as name, 1.50 as d, array(1, 2) as a"
    values = f"{first} union all select 2, 'b\nc', 0.25, array(3)"

    assert await run(tmp_path, spoken, into + values) is None

    names = ["_col0", "_col1", "_col2", "_col3"] if spoken == "hive" else ["n", "name", "d", "a"]
    assert sorted(rows(tmp_path / "lake/x"), key=str) == [
        dict(zip(names, [1, None, 1.5, [1, 2]], strict=True)),
        dict(zip(names, [2, "b\nc", 0.25, [3]], strict=True)),
    ]

    names = sorted(one.name for one in (tmp_path / "lake/x").iterdir())
    assert (names == ["000000_0"]) is (spoken == "hive")
    assert ("_SUCCESS" in names) is (spoken == "spark")
    assert await run(tmp_path, spoken, f"with q as (select 1 as n) {into} select n from q where n > 1") is None
    assert rows(tmp_path / "lake/x") == []
    assert len(list((tmp_path / "lake").iterdir())) == 1


@pytest.mark.parametrize(
    ("spoken", "text", "said"),
    [
        ("spark", f"insert overwrite directory 'obs://lake/x' {SPARK} select 1 as n, 2 as N", "COLUMN_ALREADY_EXISTS"),
        ("spark", "insert overwrite directory 'obs://lake/x' using csv select 1 as n", "not played"),
        ("spark", "insert overwrite directory 'obs://lake/x' using json options (a 'b') select 1 as n", "not played"),
        ("hive", "insert overwrite directory 'obs://lake/x' select 1 as n", "not played"),
        ("hive", f"insert overwrite directory 'obs://lake/../x' {HIVE} select 1 as n", "leaves its bucket"),
        ("hive", f"insert overwrite directory 'file:///tmp/x' {HIVE} select 1 as n", "not an OBS path"),
        ("spark", f"insert overwrite directory 'obs://lake/x' {SPARK} select nope", "UNRESOLVED_COLUMN"),
        ("hive", f"insert overwrite directory 'obs://lake/x' {HIVE} select cast('NaN' as double) as n", "not played"),
    ],
)
async def test_statement_that_fails_or_is_not_played_changes_nothing(
    tmp_path: Path, spoken: statement.Dialect, text: str, said: str
) -> None:
    """The folder keeps what it has."""
    kept = tmp_path / "lake/x/kept"
    kept.parent.mkdir(parents=True)
    kept.touch()
    error = await run(tmp_path, spoken, text)
    assert said in (error or "")
    assert files(tmp_path) == [kept]


async def test_null_is_left_out_where_spark_would(tmp_path: Path) -> None:
    """Its default."""
    assert (
        await run(tmp_path, "spark", "insert overwrite directory 'obs://lake/x' using json select 1 as a, null as b")
        is None
    )
    assert rows(tmp_path / "lake/x") == [{"a": 1}]


def test_statements_that_write_at_once_have_one_temporary_folder() -> None:
    """However many threads ask for it first."""
    for _ in range(50):
        folder, begin = obs.Obs(None), threading.Barrier(4)

        def root(folder: obs.Obs = folder, begin: threading.Barrier = begin) -> Path:
            begin.wait()
            return folder.root

        with ThreadPoolExecutor(4) as pool:
            found = {one.result() for one in [pool.submit(root) for _ in range(4)]}
        assert len(found) == 1
        folder.close()
