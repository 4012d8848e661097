"""Spark programs get the run of their attempt as the parent of what Spark reports; the ledger has what is sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.lineage import run_names
from mrs_relay.engine.model import facts, jobs
from mrs_relay.messages.requests import jobs as requests

_WANTED = msgspec.structs.replace(samples.RULES, spark_parent="/mrs-relay")


def _admitted(**changes: Any) -> jobs.Job:
    decision = transitions.decide(samples.job("queued", **changes), facts.Admitted(), samples.NOW_MS, _WANTED)
    assert decision is not None
    assert decision.job is not None
    return decision.job


def _arguments(job: jobs.Job) -> tuple[str, ...]:
    assert isinstance(job.work, jobs.Batch)
    return job.work.arguments


def test_intent_of_a_spark_program_has_its_run_before_its_arguments() -> None:
    """As spark-submit's own options."""
    job = _admitted()
    assert _arguments(job) == (
        "--conf",
        f"spark.openlineage.parentRunId={run_names.run_id(job)}",
        "--conf",
        "spark.openlineage.parentJobNamespace=/mrs-relay",
        "--conf",
        "spark.openlineage.parentJobName=billing.nightly",
        *samples.BATCH.arguments,
    )


def test_repetition_and_next_attempt_have_one_parent_each() -> None:
    """The options of an earlier submission are replaced."""
    first = _admitted()
    again = _admitted(work=first.work, attempt=1)
    second = _admitted(work=again.work, attempt=2)
    assert _arguments(again) == _arguments(first)
    assert len(_arguments(second)) == len(_arguments(first))
    assert _arguments(second)[1] == f"spark.openlineage.parentRunId={run_names.run_id(second)}"


@pytest.mark.parametrize(
    "changes",
    [
        {"work": samples.SPARK_SQL},
        {"work": samples.READ, "statement": True},
        {"api": "v1.1"},
        {"work": jobs.Batch("SparkSubmit", ("--conf", "spark.openlineage.parentRunId=x", "a.jar"))},
        {"work": jobs.Batch("SparkSubmit", ("x" * requests.MAX_ARGUMENTS,))},
    ],
)
def test_other_work_is_sent_as_it_was_requested(changes: dict[str, Any]) -> None:
    """Also a program that names a parent of its own, or has no room for one."""
    assert _admitted(**changes).work == changes.get("work", samples.BATCH)


def test_without_the_setting_nothing_is_added() -> None:
    """It is off by default."""
    assert samples.decide(samples.job("queued"), "turn").job == msgspec.structs.replace(
        samples.job("queued"), state=jobs.State.SUBMITTING, attempt=1, intent_ms=samples.NOW_MS
    )
