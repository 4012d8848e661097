"""Statements that write their rows to folders of their own, and what in these is whose."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine import samples

from mrs_relay.engine.decide import submission
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.intake import reader
from mrs_relay.engine.lineage import datasets
from mrs_relay.engine.model import facts, job_names, job_records, jobs
from mrs_relay.engine.work import row_folders
from mrs_relay.messages import requests
from mrs_relay.obs import paths, transport

LAKE = policies.Results(path="obs://lake/results")
SELECT = "select id, note from orders where note <> 'directory'"


def asked(policy: policies.Policy | None = None, **data: Any) -> facts.Requested:
    """Read a request for rows of Hive or Spark."""
    given_data = {"cluster": "c-1", "engine": "hive", "statement": SELECT, "result": {}, **data}
    value = json.dumps({"id": "q", "source": "/t", "type": "mrs.sql.submit", "data": given_data}).encode()
    policy = policy or policies.Policy(results=LAKE)
    meaning = reader.read(samples.record(value=value), frozenset({"SparkSql"}), 1_000_000, policy)
    assert isinstance(meaning, tuple)
    assert isinstance(meaning[1], facts.Requested), meaning[1]
    return meaning[1]


def text(job: jobs.Job) -> str:
    """Return the statement that is sent."""
    assert isinstance(job.work, jobs.Batch)
    [argument] = job.work.arguments
    return argument


@pytest.mark.parametrize(
    ("engine", "form"),
    [
        ("hive", "row format serde 'org.apache.hadoop.hive.serde2.JsonSerDe' stored as textfile"),
        ("spark", "using json options (ignoreNullFields 'false', compression 'none')"),
    ],
)
def test_statement_that_is_sent_is_in_the_ledger_word_for_word(engine: str, form: str) -> None:
    """With the folder of the first attempt, which its token names; what was read back sends the same."""
    job = asked(engine=engine).job
    token = job_names.submission_token(job.ledger_key, 1, job.tenant)
    folder = f"obs://lake/results/{token}-1.{'json' if engine == 'spark' else 'hive'}/"
    assert text(job) == f"insert overwrite directory '{folder}' {form} {SELECT}"
    assert job.location == folder
    assert job.delivery == jobs.Delivery("obs://lake/results/", max_rows=10_000, max_bytes=900_000)
    back = job_records.decode(job_records.encode(job))
    assert back == job
    decision = submission.admitted(back, samples.NOW_MS, samples.RULES)
    assert decision is not None
    assert decision.job is not None
    assert (text(decision.job), decision.job.location) == (text(job), folder)


def test_database_and_tables_that_are_named_first_stay_first() -> None:
    """USE is a statement of its own, and WITH stands before INSERT."""
    job = asked(database="sales", statement=f"with orders as (select 1 as id, '' as note) {SELECT};").job
    sent = text(job)
    assert sent.startswith("use sales;with orders as (select 1 as id, '' as note) insert overwrite directory 'obs://")
    assert sent.endswith(SELECT)


def test_each_attempt_has_a_folder_of_its_own() -> None:
    """In the same statement; a repetition of one attempt keeps its folder."""
    job = asked(statement="with a as (select 'directory' as x) select x from a").job
    queued = msgspec.structs.replace(job, attempt=3, work=job.work)
    decision = submission.admitted(queued, samples.NOW_MS, samples.RULES)
    assert decision is not None
    assert decision.job is not None
    third = decision.job
    token = job_names.submission_token(job.ledger_key, 3, job.tenant)
    assert third.location == f"obs://lake/results/{token}-3.hive/" != job.location
    assert text(third) == text(job).replace(job.location or "?", third.location or "?")
    assert row_folders.of_attempt(third) == third
    found = [str(one) for one in row_folders.folders(third)]
    assert {job.location, third.location} < set(found)
    assert [one[-7:] for one in found] == [f"{n}.{form}/" for n in (1, 2, 3) for form in ("json", "hive")]


@pytest.mark.parametrize("engine", ["hive", "spark"])
def test_lineage_sees_the_statement_of_the_request(engine: str) -> None:
    """Without the folder, which is no table; other statements are as they are."""
    job = asked(engine=engine, database="sales").job
    query = datasets.query_of(job.work)
    assert query is not None
    assert query.text == f"use sales;{SELECT}"
    plain = asked(policies.Policy(results=LAKE), engine=engine, result=None).job
    assert datasets.query_of(plain.work) == (SELECT, engine, "default")


def test_tenants_and_requests_have_different_folders() -> None:
    """The token tells them apart."""
    one = asked(policies.Policy("a", results=LAKE)).job
    two = asked(policies.Policy("b", results=LAKE)).job
    assert len({one.location, two.location, asked().job.location}) == 3


@pytest.mark.parametrize(
    "statement",
    ["insert into t select 1", "select 1; select 2", "select ';'", "show tables", "from t insert into u select 1"],
)
@pytest.mark.parametrize("engine", ["hive", "spark"])
def test_statement_that_is_no_plain_select_is_rejected_with_the_reason(engine: str, statement: str) -> None:
    """Before anything is sent; a tenant's default leaves it as it is."""
    value = {"cluster": "c-1", "engine": engine, "statement": statement}
    message = {"id": "q", "source": "/t", "type": "mrs.sql.submit", "data": {**value, "result": {}}}
    meaning = reader.read(
        samples.record(value=json.dumps(message).encode()), frozenset(), 100_000, policies.Policy(results=LAKE)
    )
    assert isinstance(meaning, tuple)
    assert isinstance(meaning[1], facts.InvalidRequest)
    assert "its rows cannot be delivered: it " in meaning[1].reason.message
    default = LAKE.model_copy(update={"deliver": "inline", "engines": ("hive", "spark")})
    job = asked(policies.Policy(results=default), engine=engine, statement=statement, result=None).job
    assert (job.delivery, job.location, text(job)) == (None, None, statement)


def test_default_of_chunks_holds_for_the_engines_that_it_names() -> None:
    """Where there is a topic for them."""
    default = LAKE.model_copy(update={"deliver": "chunks", "engines": ("hive",)})
    delivery = asked(policies.Policy(results=default, has_chunks=True), result=None).job.delivery
    assert delivery is not None
    assert (delivery.chunks, delivery.inline) == (True, False)


def test_default_holds_for_the_engines_that_it_names() -> None:
    """For Presto alone unless it names others: no statement is changed by an upgrade."""
    alone = LAKE.model_copy(update={"deliver": "inline"})
    assert asked(policies.Policy(results=alone), result=None).job.delivery is None
    hive = alone.model_copy(update={"engines": ("hive",)})
    assert asked(policies.Policy(results=hive), result=None).job.delivery is not None
    assert asked(policies.Policy(results=hive), result=None, engine="spark").job.delivery is None
    assert asked(policies.Policy(results=hive), result=None, engine="presto").job.delivery is None


def test_statement_that_becomes_too_long_is_rejected() -> None:
    """MRS takes so many characters."""
    long = f"select '{'x' * (requests.MAX_ARGUMENTS - 210)}'"
    far = policies.Policy(results=policies.Results(path=f"obs://lake/{'r' * 100}"))
    reason = asked(far, statement=long).rejection
    assert reason is not None
    assert (reason.code, reason.field) == ("bad_value", "data.statement")
    assert asked(policies.Policy(), statement="select 1").rejection is not None


@pytest.mark.parametrize(
    "path", ["obs://lake/it's", "obs://lake/a;b", "obs://lake/${x}", "obs://lake/a b", 'obs://lake/"']
)
def test_folder_of_results_has_no_characters_that_sql_reads_otherwise(path: str) -> None:
    """The settings are refused."""
    with pytest.raises(ValueError, match="has a character that SQL reads otherwise"):
        policies.Results(path=path)


FOLDER = paths.folder("obs://lake/results/mr0123456789abcd-1.json")
ROWS = ["part-00000-a-c000.json", "000000_0", "000001_0.gz", "HIVE_UNION_SUBDIR_1/000000_0"]
NO_ROWS = ["_SUCCESS", "_temporary/0/x/part-00000", ".hive-staging_hive_1/-ext-1/000000_0"]
FOREIGN = [
    "notes.txt",
    "part",
    "000000_0/x",
    "sub/part-00000-a.json",
    "x_SUCCESS",
    "mr1-1.json/part-0-a.json",
    "_mine",
    "a b",
]


def test_rows_are_read_in_order_and_what_is_hidden_is_not() -> None:
    """Also those of UNION ALL, which are in folders."""
    found = [transport.Listed(FOLDER.key + name, 1, "") for name in [*NO_ROWS, *ROWS, "", "sub/"]]
    found += [
        transport.Listed(FOLDER.key + "HIVE_UNION_SUBDIR_1", 0, ""),
        transport.Listed(FOLDER.key + "part-1", 0, ""),
    ]
    shown = [one.key.removeprefix(FOLDER.key) for one in row_folders.rows_in(FOLDER, found)]
    assert shown == sorted([*ROWS, "part-1"])


@given(st.sampled_from([*ROWS, *NO_ROWS]) | st.sampled_from(FOREIGN) | st.text(max_size=12))
def test_only_what_an_engine_calls_so_is_removed(name: str) -> None:
    """Nothing of another name, and nothing beside the folder."""
    assert row_folders.is_own(FOLDER, FOLDER.key + name) is (name in {*ROWS, *NO_ROWS})
    for beside in ("results/mr0123456789abcd-10.json/", "results/", "results/other/", ""):
        assert not row_folders.is_own(FOLDER, beside + name)
