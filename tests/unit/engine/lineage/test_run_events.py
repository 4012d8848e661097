"""What run events say of a job, and what they keep to themselves."""

from __future__ import annotations

import json
import threading

import pytest
import structlog
from tests.unit.engine import lineage_bench, samples

from mrs_relay.engine.lineage import recorder, run_events, settings, statements
from mrs_relay.engine.model import jobs
from mrs_relay.messages import events

_SECRET = "s3cr3t"  # noqa: S105 - it must not come out
_SQL = f"insert into dw.o (a) select x from t where p = '{_SECRET}' -- {_SECRET}"
_RUN = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"
_HIVE = {"namespace": f"hive://{samples.CLUSTER}", "name": "default.t"}


async def test_start_of_sql_names_its_tables_and_the_origin_of_columns() -> None:
    """Inputs and outputs are in the START."""
    (start,) = await lineage_bench.written(_sql("SparkSql"), "taken")
    assert start["inputs"] == [_HIVE]
    (written,) = start["outputs"]
    assert written["name"] == "dw.o"
    assert written["facets"]["columnLineage"]["fields"] == {"a": {"inputFields": [{**_HIVE, "field": "x"}]}}
    assert start["job"]["facets"]["jobType"]["jobType"] == "QUERY"
    assert start["run"]["facets"]["mrs_attempt"]["jobId"] == samples.JOB_ID


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("none", None),
        ("redacted", "INSERT INTO dw.o (a) SELECT x FROM t WHERE p = ?"),
        ("full", _SQL),
    ],
)
async def test_sql_is_shown_as_the_tenant_s_rule_says(rule: str, shown: str | None) -> None:
    """Not at all by default; without its values; or whole."""
    found = await lineage_bench.written(_sql("HiveSql"), "taken", "failed", sql=rule)
    facet = found[0]["job"]["facets"].get("sql")
    assert (facet and facet["query"]) == shown
    assert (_SECRET in json.dumps(found)) is (rule == "full")


async def test_sql_that_cannot_be_parsed_has_no_datasets_and_no_redacted_text() -> None:
    """The run is reported all the same."""
    job = samples.job("submitting", work=jobs.Batch("SparkSql", (f"select {_SECRET} frm ((",)), subject="sql")
    (start,) = await lineage_bench.written(job, "taken", sql="redacted")
    assert (start["inputs"], start["outputs"], "sql" in start["job"]["facets"]) == ([], [], False)


async def test_statement_of_presto_names_its_archive_and_its_query() -> None:
    """The folder of its rows is an output; other catalogs have a namespace of their own."""
    work = jobs.Presto("select * from mysql.d.u, w", "dw", "obs://b/rows/x/")
    (start,) = await lineage_bench.written(_statement(work), "taken", tables="hive://meta")
    assert start["outputs"] == [{"namespace": "obs://b", "name": "rows/x"}]
    assert start["inputs"] == [
        {"namespace": f"presto://{samples.CLUSTER}", "name": "mysql.d.u"},
        {"namespace": "hive://meta", "name": "dw.w"},
    ]
    assert start["run"]["facets"]["externalQuery"]["externalQueryId"] == samples.JOB_ID


@pytest.mark.parametrize(
    ("work", "inputs", "outputs"),
    [
        (
            jobs.Batch("DistCp", ("-update", "obs://b/in", "/tmp/x/")),  # noqa: S108 - a path on HDFS
            [("obs://b", "in")],
            [(f"hdfs://{samples.CLUSTER}", "/tmp/x")],  # noqa: S108 - the same
        ),
        (
            jobs.Batch("MapReduce", (), {"jar_path": "s3a://b/j.jar", "input": "s3a://b/in", "output": "s3a://b/out/"}),
            [("obs://b", "in")],
            [("obs://b", "out")],
        ),
        (jobs.Batch("SparkSubmit", ("--class", "A", "obs://b/a.jar")), [], []),
        (jobs.Batch("SparkSql", ("select * from parquet.`obs://b/x/y`",)), [("obs://b", "x/y")], []),
    ],
)
async def test_folders_that_a_job_names_are_datasets(
    work: jobs.Batch, inputs: list[tuple[str, str]], outputs: list[tuple[str, str]]
) -> None:
    """Those of which it is clear what the job does with them; s3a is OBS by another name."""
    (start,) = await lineage_bench.written(samples.job("submitting", work=work), "taken")
    assert [(one["namespace"], one["name"]) for one in start["inputs"]] == inputs
    assert [(one["namespace"], one["name"]) for one in start["outputs"]] == outputs


async def test_labels_name_the_job_its_parent_and_its_tags() -> None:
    """The parent as Airflow's `lineage_parent_id` writes it."""
    labels = {"job": "load", "team": "etl", run_events.PARENT: f"airflow/ns/dag.task/{_RUN}"}
    (start,) = await lineage_bench.written(samples.job("submitting", labels=labels), "taken")
    facets = start["run"]["facets"]
    assert start["job"]["name"] == "billing.load"
    assert facets["parent"]["run"] == {"runId": _RUN}
    assert facets["parent"]["job"] == {"namespace": "airflow/ns", "name": "dag.task"}
    assert [(one["key"], one["value"]) for one in facets["tags"]["tags"]] == [("job", "load"), ("team", "etl")]


@pytest.mark.parametrize("parent", ["", "a/b", "a/b/c", f"/b/{_RUN}"])
async def test_label_that_names_no_run_is_no_parent(parent: str) -> None:
    """A wrong label does not make the event invalid."""
    (start,) = await lineage_bench.written(samples.job("submitting", labels={run_events.PARENT: parent}), "taken")
    assert "parent" not in start["run"]["facets"]


async def test_job_without_a_label_is_named_by_sender_and_job_name() -> None:
    """The name on MRS without its token."""
    (start,) = await lineage_bench.written(samples.job("submitting"), "taken")
    assert start["job"] == {**start["job"], "namespace": lineage_bench.NAMESPACE, "name": "billing.nightly"}


async def test_bad_end_says_why() -> None:
    """In the words of the request's own event."""
    (end,) = await lineage_bench.written(samples.job("running"), "failed")
    assert end["run"]["facets"]["errorMessage"]["message"].startswith("job_result: the job failed on MRS")
    assert end["run"]["facets"]["mrs_attempt"] == {
        **end["run"]["facets"]["mrs_attempt"],
        "state": "failed",
        "jobResult": "FAILED",
        "attempt": 1,
        "eventId": f"{events.identity('/billing', 'order-1')}-4",
    }


async def test_event_that_does_not_fit_goes_without_sql_and_datasets() -> None:
    """The run is in the topic; nothing keeps the commit from its jobs."""
    bench = lineage_bench.bench(_sql("SparkSql"), limits={lineage_bench.TOPIC: 1_600}, sql="full")
    bench.happen("taken")
    await bench.unit.add_lineage()
    (start,) = lineage_bench.events(bench)
    assert ("inputs" in start, "sql" in start["job"]["facets"]) == (False, False)


async def test_event_that_fits_not_at_all_is_left_out_and_counted() -> None:
    """The job continues."""
    bench = lineage_bench.bench(_sql("SparkSql"), limits={lineage_bench.TOPIC: 100})
    bench.happen("taken")
    await bench.unit.add_lineage()
    assert lineage_bench.events(bench) == []
    assert bench.states() == ["submitted"]
    assert bench.context.counts.internal_errors["lineage", "TooLarge"] == 1


async def test_without_sqlglot_runs_are_written_without_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says at the start what is missing."""
    monkeypatch.setattr(statements, "is_available", lambda: False)
    statements.read.cache_clear()
    with structlog.testing.capture_logs() as logs:
        recorder.ready(recorder.Target("t", "n", settings.LineageSettings()))
    (start,) = await lineage_bench.written(_sql("SparkSql"), "taken")
    statements.read.cache_clear()
    assert (start["inputs"], [one["event"] for one in logs]) == ([], ["sql_not_parsed"])


async def test_long_sql_is_parsed_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQL that would hold the loop up is parsed in a thread."""
    threads = []
    read = statements.read

    def noted(*query: str) -> statements.Found:
        threads.append(threading.current_thread())
        return read(*query)

    monkeypatch.setattr(statements, "read", noted)
    monkeypatch.setattr(recorder, "_THREAD_S", 60.0)
    long = f"insert into o select * from t where {' or '.join(f'a = {one}' for one in range(200))}"
    work = jobs.Batch("SparkSql", (long,))
    (start,) = await lineage_bench.written(samples.job("submitting", work=work), "taken")
    assert [one["name"] for one in start["inputs"]] == ["default.t"]
    assert threads[0] is not threading.main_thread()


def _sql(job_type: str) -> jobs.Job:
    return samples.job("submitting", work=jobs.Batch(job_type, (_SQL,)), subject="sql")


def _statement(work: jobs.Presto) -> jobs.Job:
    return samples.job("submitting, a statement that reads", work=work)


@pytest.mark.parametrize(("rule", "least"), [("none", 0), ("redacted", 50_000), ("full", 50_000)])
def test_budget_of_a_commit_counts_the_sql_of_run_events(rule: str, least: int) -> None:
    """So that a commit of many long statements is divided."""
    long = samples.job("submitting", work=jobs.Batch("SparkSql", ("select " + "a" * 50_000,)), subject="sql")
    bench = lineage_bench.bench(long, sql=rule)
    bench.happen("taken")
    without = lineage_bench.bench(long)
    without.happen("taken")
    assert bench.unit.bytes - without.unit.bytes >= least
