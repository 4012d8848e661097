"""The demo's requests: what the relay accepts, but for those that are there to be refused."""

from __future__ import annotations

import pathlib
from collections import Counter

import pytest

from mrs_emulator.sql import tpch
from mrs_relay import errors
from mrs_relay.demo import demo_requests
from mrs_relay.messages import envelope, requests


def _plan() -> list[demo_requests.Planned]:
    return demo_requests.plan(tpch.query)


def test_all_three_engines_and_other_kinds_of_jobs_take_part() -> None:
    """Every TPC-H query is there, on Presto, Spark and Hive, and batch jobs beside them."""
    kinds = Counter(one.what for one in _plan())
    assert kinds["Presto SQL"] >= 7
    assert kinds["Spark SQL"] >= 7
    assert kinds["Hive SQL"] >= 7
    assert {"MapReduce", "SparkSubmit", "SparkPython", "Flink", "DistCp", "HiveScript", "SparkScript"} <= kinds.keys()


def test_ids_are_unique_and_about_thirty() -> None:
    """One id, one job."""
    ids = [one.message.id for one in _plan()]
    assert len(set(ids)) == len(ids)
    assert 28 <= len(ids) <= 36


@pytest.mark.parametrize("one", _plan(), ids=lambda one: str(one.message.id))
def test_only_the_invalid_request_is_invalid(one: demo_requests.Planned) -> None:
    """What is planned as rejected is refused by the models, all else accepted."""
    read = envelope.read("t", one.message.value, one.message.headers)
    if one.expected == "rejected":
        with pytest.raises(errors.BadMessage):
            requests.parse(read)
    else:
        assert isinstance(requests.parse(read), requests.JobSubmit | requests.SqlSubmit)


def test_the_unreadable_message_has_no_readable_id() -> None:
    """It can only become a dead letter."""
    with pytest.raises(errors.BadMessage):
        envelope.read("t", demo_requests.UNREADABLE, ())


def test_script_jobs_find_their_scripts(tmp_path: pathlib.Path) -> None:
    """Each obs:// script of a script job is written."""
    demo_requests.write_scripts(tmp_path)
    for one in _plan():
        if one.what in {"HiveScript", "SparkScript"}:
            data = envelope.read("t", one.message.value, one.message.headers).data
            assert (tmp_path / data["job"]["arguments"][0].removeprefix("obs://")).is_file()
