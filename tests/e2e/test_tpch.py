"""Answers that come back through Kafka are the right ones: TPC-H, against what DuckDB says by itself."""

from __future__ import annotations

import asyncio
import csv
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.support import brokers, history, service

from mrs_relay.emulator import tpch

QUERIES = range(1, 23)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TPC-H at scale 0.01 as Parquet files."""
    folder = tmp_path_factory.mktemp("tpch")
    program = Path(sys.executable).with_name("tpchgen-cli")
    command = [str(program), "parquet", "-s", "0.01", "--output-dir", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        subprocess.run([str(program), "-s", "0.01", "--format", "parquet", "--output-dir", str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def answers(tables: Path) -> dict[int, list[tuple[str, ...]]]:
    """Each query's rows as DuckDB gives them directly, as comparable text."""
    database = duckdb.connect()
    for path in sorted(tables.glob("*.parquet")):
        database.execute(f"create view {path.stem} as select * from read_parquet('{path}')")
    return {number: sorted(map(plain, database.execute(tpch.query(number)).fetchall())) for number in QUERIES}


@pytest.fixture(scope="module")
def mrs(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[service.Emulator, Path]]:
    """An MRS over the tables, and the folder that plays OBS."""
    workdir = tmp_path_factory.mktemp("mrs")
    obs = workdir / "obs"
    obs.mkdir()
    with service.emulator(workdir, "--data", str(tables), "--obs", str(obs), "--slots", "0") as playing:
        yield playing, obs


def plain(row: Any) -> tuple[str, ...]:
    """A row as text in which 1, 1.0 and 1.00 are the same and floats agree to nine digits."""
    return tuple(map(_cell, row))


def _cell(value: object) -> str:
    if value is None:
        return ""  # as a CSV writes it
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    return f"{float(number):.9g}" if number.is_finite() else str(number)


def rows_of(event: history.Seen, obs: Path) -> list[tuple[str, ...]]:
    """The rows that an event carries or names."""
    result: Mapping[str, Any] = event.data["result"]
    location = result.get("location")
    if location:
        with (obs / location.removeprefix("obs://")).open(newline="") as file:
            return sorted(map(plain, list(csv.reader(file))[1:]))
    return sorted(plain(row.values()) for row in result["statements"][0]["rows"])


@pytest.mark.parametrize("broker", ["kafka", "embedded"])
async def test_all_22_answers_come_back_through_kafka_as_duckdb_gives_them(
    broker: str,
    request: pytest.FixtureRequest,
    mrs: tuple[service.Emulator, Path],
    answers: dict[int, list[tuple[str, ...]]],
    tmp_path: Path,
) -> None:
    """Presto rows by their location in OBS and Spark rows inside the event equal DuckDB's own, on both brokers."""
    node: brokers.Node = request.getfixturevalue(broker)
    playing, obs = mrs
    guarantee = "exactly-once" if broker == "kafka" else "at-least-once"
    more = {"ENGINE__SLOTS_PER_CLUSTER": "0", "ENGINE__INLINE_RESULT_BYTES": "900000"}
    here = service.Deployment(node.bootstrap, f"tpch-{time.time_ns()}", playing.url, tmp_path, guarantee, more)
    await asyncio.to_thread(here.create_topics, 2)
    relay = here.start_relay("only")
    wanted = {f"{engine}-{number}": (engine, number) for number in QUERIES for engine in ("presto", "spark")}
    messages = [
        (b"key-%d" % number, service.sql(one, engine, tpch.query(number))) for one, (engine, number) in wanted.items()
    ]
    await here.send(messages)
    events = await here.until_ended(list(wanted), 120)
    assert await asyncio.to_thread(relay.stop) == 0
    last = {event.request_id: event for event in events if event.state in history.LAST}
    assert {one: event.state for one, event in last.items()} == dict.fromkeys(wanted, "succeeded")
    wrong = [one for one, (_, number) in wanted.items() if rows_of(last[one], obs) != answers[number]]
    assert wrong == []
    assert not any(event.data["result"].get("truncated") for event in last.values())
