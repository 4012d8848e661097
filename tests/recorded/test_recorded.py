"""Ledgers that were written once are read for ever."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import commands, facts, job_records, jobs
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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_job_is_written_again_byte_for_byte(file: Path) -> None:
    """Fields keep names, places, order and defaults: a newer version writes the record that it has read."""
    for line in file.read_text().splitlines():
        value = base64.b64decode(json.loads(line)["value"])
        assert job_records.encode(job_records.decode(value), int(file.stem.removeprefix("ledger-")[0])) == value


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
