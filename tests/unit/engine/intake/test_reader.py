"""From a record to what it means; nothing that comes in is dropped or raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine import samples
from tests.unit.engine.intake import reading

from mrs_relay.engine.model import facts, job_names, job_records, jobs
from mrs_relay.messages import dead_letters
from mrs_relay.mrs.models import jobs as job_models
from mrs_relay.mrs.models import sql as sql_models


def test_batch_request_becomes_a_job() -> None:
    """Everything that a later step needs stands in the job: work, order, cluster, words to pass on."""
    data = {
        "cluster": samples.CLUSTER,
        "job": {"job_type": "SparkSubmit", "job_name": "n", "arguments": ["a"], "properties": {"k": "v"}},
        "priority": 9,
        "labels": {"team": "billing"},
        "not_before": "2026-11-24T06:00:00.25Z",
    }

    value = samples.message(data, correlationid="run-7", traceparent="t", tracestate="s")
    assert reading.job(value) == jobs.Job(
        source="/billing",
        id="order-1",
        subject="job",
        digest="2:e9b5c5ae397a19d78092fe1ca8c619c8",
        state=jobs.State.QUEUED,
        key=b"k",
        order=17,
        cluster=samples.CLUSTER,
        work=jobs.Batch("SparkSubmit", ("a",), {"k": "v"}),
        name="n",
        priority=9,
        not_before_ms=1_795_500_000_250,
        labels={"team": "billing"},
        correlation_id="run-7",
        traceparent="t",
        tracestate="s",
    )


def test_a_cluster_by_name_or_tags_is_to_be_chosen() -> None:
    """What it is chosen by stands in the job; there is no cluster yet."""
    data = {"cluster": {"name": "etl", "tags": {"team": "ads"}}, "job": {"job_type": "SparkSubmit"}}
    job = reading.job(samples.message(data))
    assert (job.state, job.cluster, job.choice) == (jobs.State.CHOOSING, "", jobs.Choice("etl", {"team": "ads"}))


@pytest.mark.parametrize("key", [None, b"", b"\xff\x00", b"x" * 1024])
def test_kafka_key_is_kept_as_it_is(key: bytes | None) -> None:
    """Events go out under the request's own key; none stays none."""
    assert reading.job(key=key).key == key


def test_key_of_the_record_is_not_the_key_of_the_job() -> None:
    """Source and id identify a request, whatever its Kafka key is."""
    assert reading.job(key=b"one").ledger_key == reading.job(key=b"two").ledger_key == b"/billing order-1"


def test_trace_context_may_stand_in_plain_headers() -> None:
    """Trace context of the record's headers is passed on where the message has none."""
    assert reading.job(headers=(("traceparent", b"t"),)).traceparent == "t"
    assert reading.job(samples.message(traceparent="m"), headers=(("traceparent", b"t"),)).traceparent == "m"


def test_binary_message_becomes_the_same_job() -> None:
    """Binary and plain form of one request are the same request, with the same payload."""
    plain = samples.message()
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"order-1"),
        ("ce_source", b"/billing"),
        ("ce_type", b"mrs.job.submit"),
    )
    assert reading.job(plain["data"], headers=headers) == reading.job(plain)


@pytest.mark.parametrize("job_type", job_models.JobType.__args__)  # type: ignore[attr-defined]  # a Literal has them
def test_rows_are_collected_for_the_types_of_the_settings(job_type: str) -> None:
    """Rows are read for the job types that are said to have some, and for no others."""
    job = reading.job(samples.message({"cluster": "c", "job": {"job_type": job_type}}))
    assert job.collect is (job_type in samples.RESULT_TYPES)
    assert not job.statement


@pytest.mark.parametrize(("engine", "job_type", "collect"), [("spark", "SparkSql", True), ("hive", "HiveSql", False)])
def test_sql_for_spark_and_hive_becomes_a_batch_job(engine: str, job_type: str, collect: bool) -> None:
    """Spark and Hive statements are jobs with one argument, a name and events of `sql`."""
    job = reading.job(samples.sql("select 1; select 2", engine))
    assert job.work == jobs.Batch(job_type, ("select 1; select 2",))
    assert (job.subject, job.statement, job.name, job.collect, job.skip) == ("sql", False, "sql", collect, 0)


def test_database_is_chosen_by_a_leading_use() -> None:
    """These jobs have no database field: a USE goes first, and the result that it adds is skipped."""
    job = reading.job(samples.sql("select 1", "spark", database="sales", job_name="n"))
    assert job.work == jobs.Batch("SparkSql", ("use sales;select 1",))
    assert (job.skip, job.name) == (1, "n")
    assert reading.job(samples.sql("select 1", "spark", database="default")).skip == 0


def test_statement_for_presto_goes_to_the_sql_endpoint() -> None:
    """A Presto statement takes no slot and has no name; its database and folder are fields of the call."""
    job = reading.job(samples.sql("select 1 ;\n", database="sales", archive_path="obs://b/x"))
    assert job.work == jobs.Presto("select 1", "sales", "obs://b/x", repeatable=True)
    assert (job.subject, job.statement, job.name, job.collect, job.skip) == ("sql", True, "", False, 0)


@pytest.mark.parametrize(
    ("statement", "sent"),
    [
        ("select 1; -- done", "select 1"),
        ("insert into t /* ; */ values 1 ;", "insert into t   values 1"),
        ("-- first\nselect 1", "-- first\nselect 1"),
    ],
)
def test_statement_is_sent_without_any_semicolon(statement: str, sent: str) -> None:
    """MRS takes no semicolon, not even in a comment."""
    work = reading.job(
        samples.message({"cluster": "c", "engine": "presto", "statement": statement}, "mrs.sql.submit")
    ).work
    assert isinstance(work, jobs.Presto)
    assert work.statement == sent


@pytest.mark.parametrize(
    ("value", "code", "field", "subject"),
    [
        (samples.message({}), "missing_field", "data.cluster", "job"),
        (samples.message(kind="mrs.job.run"), "unknown_type", "type", "job"),
        (samples.message(kind="mrs.sql.run"), "unknown_type", "type", "sql"),
        (samples.message({}, "mrs.sql.submit"), "missing_field", "data.cluster", "sql"),
        (samples.message(specversion="0.3"), "bad_specversion", "specversion", "job"),
        (samples.message("text"), "wrong_type", "data", "job"),
    ],
)
def test_bad_request_with_an_id_is_answered(value: object, code: str, field: str | None, subject: str) -> None:
    """A request that names itself becomes a rejection with reason, field, key, place and correlation."""
    event = reading.invalid({**value, "correlationid": "run-7"} if isinstance(value, dict) else value)
    assert (event.reason.code, event.reason.field) == (code, field)
    job = event.job
    assert (job.state, job.sequence, job.subject, job.key) == (jobs.State.REJECTED, 0, subject, b"k")
    assert (job.order, job.work, job.digest, job.correlation_id) == (17, None, "", "run-7")


@given(
    st.text(alphabet="ab;() \n-/*", max_size=30) | st.text(max_size=30),
    st.sampled_from(["presto", "spark", "hive"]),
    st.from_regex(r"[A-Za-z0-9_]{1,5}", fullmatch=True),
    st.none() | st.from_regex(r"obs://[^\s]{1,9}", fullmatch=True),
)
def test_what_is_taken_can_be_sent(statement: str, engine: str, database: str, archive_path: str | None) -> None:
    """A request that passed its checks never fails those of the MRS client: the sender gets faults at once."""
    value = samples.sql(statement, engine, database=database, archive_path=archive_path)
    meaning = reading.read(samples.record(value))
    assert isinstance(meaning, tuple)

    if isinstance(meaning[1], facts.InvalidRequest):
        return

    assert isinstance(meaning[1], facts.Requested)

    work = meaning[1].job.work
    if isinstance(work, jobs.Presto):
        sql_models.SqlExecution(sql_content=work.statement, database=work.database, archive_path=work.archive_path)
    elif isinstance(work, jobs.Batch):
        job_models.JobExecution(
            job_type=work.job_type,
            job_name=job_names.with_token(meaning[1].job.name, "mr" + "a" * 14),
            arguments=work.arguments,
            properties=work.properties,
        )


@given(
    st.none() | st.binary(max_size=60) | st.sampled_from([b'{"id":"a","type":"mrs.job.submit"}', b'{"id":"\xff"}']),
    st.lists(st.tuples(st.sampled_from(["ce_id", "ce_specversion", "content-type"]), st.binary(max_size=9))).map(tuple),
    st.none() | st.binary(max_size=9),
)
def test_any_record_has_a_meaning(
    value: bytes | None, headers: tuple[tuple[str, bytes], ...], key: bytes | None
) -> None:
    """No record raises: it is a request, an invalid request, or a dead letter that can be written."""
    meaning = reading.read(samples.record(value, headers=headers, key=key))
    if isinstance(meaning, dead_letters.DeadLetter):
        written = meaning.write()
        assert written[1] == (value or b"")
    else:
        assert isinstance(meaning[1], facts.InvalidRequest | facts.Requested)
        assert job_records.decode(job_records.encode(meaning[1].job)) == meaning[1].job
