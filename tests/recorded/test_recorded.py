"""Ledgers that were written once are read for ever."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import cold_jobs, commands, facts, job_records, jobs
from mrs_relay.kafka import ledger_format

FILES = sorted(Path(__file__).parent.glob("ledger-*.jsonl"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_ledger_is_read_with_every_field_as_it_was_written(file: Path) -> None:
    """Each record reads as the job it was, under its key; a newer version may know more, never less."""
    for line in file.read_text().splitlines():
        record = json.loads(line)
        job = job_records.decode(base64.b64decode(record["value"]))
        assert job.ledger_key == base64.b64decode(record["key"])
        reads = json.loads(job_records.encode(job, ledger_format.NAMED))
        assert {name: reads.get(name) for name in record["reads"]} == record["reads"]


def _extends(places: Any, before: Any) -> bool:
    """Return whether places are those that were there before, at each depth, and empty ones behind them."""
    if not isinstance(before, list):
        return bool(places == before)
    return all(map(_extends, places, before)) and len(places) >= len(before) and not any(places[len(before) :])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_job_is_written_again_as_it_was(file: Path) -> None:
    """Fields keep names, places, order and defaults: a newer version writes what it has read, and places behind it."""
    ledger = int(file.stem.removeprefix("ledger-")[0])
    for line in file.read_text().splitlines():
        value = base64.b64decode(json.loads(line)["value"])
        again = job_records.encode(job_records.decode(value), ledger)
        if value.startswith(b"{"):
            assert again == value
            continue
        places, before = (msgspec.msgpack.decode(cold_jobs.without_head(one)) for one in (again, value))
        assert _extends(places, before)
        assert cold_jobs.has_head(again) == cold_jobs.has_head(value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_recorded_job_is_taken_up(file: Path) -> None:
    """Whatever state an older version left a job in, a restart knows what it owes it."""
    for line in file.read_text().splitlines():
        job = job_records.decode(base64.b64decode(json.loads(line)["value"]))
        assert isinstance(transitions.recover(job), commands.Command | facts.SubmissionInDoubt)


def test_there_is_a_recorded_ledger_of_the_present_format() -> None:
    """The format of today is among the recorded, in every state that it has; states came to it one after the other."""
    lines = [
        line
        for file in FILES
        if file.stem.startswith(f"ledger-{ledger_format.FORMAT}")
        for line in file.read_text().splitlines()
    ]
    states = {json.loads(line)["reads"]["state"] for line in lines}
    assert states >= {state.value for state in jobs.State}
