"""From a record to what it means; nothing that comes in is dropped or raises."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine import samples

from mrs_relay import errors
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, job_names, job_records, jobs
from mrs_relay.engine.work import statement as statement_work
from mrs_relay.kafka import records
from mrs_relay.messages import codec, dead_letters, reasons, requests
from mrs_relay.mrs.models import jobs as job_models
from mrs_relay.mrs.models import sql as sql_models

_MOST_BYTES = 100_000


def _read(record: records.Record) -> reader.Keyed | dead_letters.DeadLetter:
    return reader.read(record, samples.RESULT_TYPES, _MOST_BYTES)


def _job(value: object = ..., **changes: Any) -> jobs.Job:
    meaning = _read(samples.record(value, **changes))
    assert isinstance(meaning, tuple)
    key, fact = meaning
    assert isinstance(fact, facts.Requested)
    assert key == fact.job.ledger_key
    return fact.job


def _invalid(value: object = ..., **changes: Any) -> facts.InvalidRequest:
    meaning = _read(samples.record(value, **changes))
    assert isinstance(meaning, tuple)
    key, fact = meaning
    assert isinstance(fact, facts.InvalidRequest)
    assert key == fact.job.ledger_key
    assert fact.reason.kind == "invalid"
    assert fact.reason.code in reasons.CODES
    return fact


def _letter(value: object, **changes: Any) -> dead_letters.DeadLetter:
    meaning = _read(samples.record(value, **changes))
    assert isinstance(meaning, dead_letters.DeadLetter)
    assert meaning.code in reasons.CODES
    return meaning


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
    assert _job(value) == jobs.Job(
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
    job = _job(samples.message(data))
    assert (job.state, job.cluster, job.choice) == (jobs.State.CHOOSING, "", jobs.Choice("etl", {"team": "ads"}))


@pytest.mark.parametrize("key", [None, b"", b"\xff\x00", b"x" * 1024])
def test_kafka_key_is_kept_as_it_is(key: bytes | None) -> None:
    """Events go out under the request's own key; none stays none."""
    assert _job(key=key).key == key


def test_key_of_the_record_is_not_the_key_of_the_job() -> None:
    """Source and id identify a request, whatever its Kafka key is."""
    assert _job(key=b"one").ledger_key == _job(key=b"two").ledger_key == b"/billing order-1"


def test_trace_context_may_stand_in_plain_headers() -> None:
    """Trace context of the record's headers is passed on where the message has none."""
    assert _job(headers=(("traceparent", b"t"),)).traceparent == "t"
    assert _job(samples.message(traceparent="m"), headers=(("traceparent", b"t"),)).traceparent == "m"


def test_binary_message_becomes_the_same_job() -> None:
    """Binary and plain form of one request are the same request, with the same payload."""
    plain = samples.message()
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"order-1"),
        ("ce_source", b"/billing"),
        ("ce_type", b"mrs.job.submit"),
    )
    assert _job(plain["data"], headers=headers) == _job(plain)


@pytest.mark.parametrize("job_type", job_models.JobType.__args__)  # type: ignore[attr-defined]  # a Literal has them
def test_rows_are_collected_for_the_types_of_the_settings(job_type: str) -> None:
    """Rows are read for the job types that are said to have some, and for no others."""
    job = _job(samples.message({"cluster": "c", "job": {"job_type": job_type}}))
    assert job.collect is (job_type in samples.RESULT_TYPES)
    assert not job.statement


@pytest.mark.parametrize(("engine", "job_type", "collect"), [("spark", "SparkSql", True), ("hive", "HiveSql", False)])
def test_sql_for_spark_and_hive_becomes_a_batch_job(engine: str, job_type: str, collect: bool) -> None:
    """Spark and Hive statements are jobs with one argument, a name and events of `sql`."""
    job = _job(samples.sql("select 1; select 2", engine))
    assert job.work == jobs.Batch(job_type, ("select 1; select 2",))
    assert (job.subject, job.statement, job.name, job.collect, job.skip) == ("sql", False, "sql", collect, 0)


def test_database_is_chosen_by_a_leading_use() -> None:
    """These jobs have no database field: a USE goes first, and the result that it adds is skipped."""
    job = _job(samples.sql("select 1", "spark", database="sales", job_name="n"))
    assert job.work == jobs.Batch("SparkSql", ("use sales;select 1",))
    assert (job.skip, job.name) == (1, "n")
    assert _job(samples.sql("select 1", "spark", database="default")).skip == 0


def test_statement_for_presto_goes_to_the_sql_endpoint() -> None:
    """A Presto statement takes no slot and has no name; its database and folder are fields of the call."""
    job = _job(samples.sql("select 1 ;\n", database="sales", archive_path="obs://b/x"))
    assert job.work == jobs.Presto("select 1", "sales", "obs://b/x", repeatable=True)
    assert (job.subject, job.statement, job.name, job.collect, job.skip) == ("sql", True, "", False, 0)


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        "SELECT 1",
        "\n\t  Select 1",
        "(select 1) union (select 2)",
        "((select 1))",
        "-- a comment\nselect 1",
        "--\r\nselect 1",
        "-- insert\rselect 1",
        "/* insert */ select 1",
        "/* a */ -- b\n /* c\n */ ( /* d */ select 1)",
        "/* -- */ select 1",
        "/*/ insert */ select 1",
        "with t as (select 1) select * from t",
        "show tables",
        "desc t",
        "DESCRIBE t",
        "values 1, 2",
        "explain select 1",
        "explain insert into t values 1",
        "explain (type distributed) select 1",
        "select 'insert into t'",
        "select(1)",
        "select/**/1",
        "select 1 -- ; insert into t values 1",
        "explain select 'analyze' /* analyze */",
        "with x as (select 'insert' as a) select * from x -- delete",
    ],
)
def test_statement_that_only_reads_is_repeatable(statement: str) -> None:
    """SELECT, SHOW, DESC, VALUES, WITH and EXPLAIN only read, behind comments and parentheses, in any case."""
    assert statement_work.is_repeatable(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "insert into t select 1",
        "INSERT INTO t SELECT 1",
        "create table t as select 1",
        "CREATE TABLE t AS (WITH x AS (SELECT 1) SELECT * FROM x)",
        "delete from t",
        "update t set a = 1",
        "merge into t using u on 1 = 1 when matched then delete",
        "drop table t",
        "alter table t add column a int",
        "truncate table t",
        "call system.sync()",
        "grant select on t to u",
        "execute p",
        "prepare p from select 1",
        "start transaction",
        "set session a = 1",
        "use sales",
        "-- select\ninsert into t values 1",
        "-- select\rinsert into t values 1",
        "-- c\rinsert into t\nselect 1",
        "/* select */ insert into t values 1",
        "/* unterminated select 1",
        "explain analyze insert into t values 1",
        "EXPLAIN  ANALYZE VERBOSE insert into t values 1",
        "explain\nanalyze\ninsert into t values 1",
        "explain /* really */ analyze insert into t values 1",
        "explain -- really\nanalyze insert into t values 1",
        "explain/**/analyze insert into t values 1",
        "explain (type io) /* ; */ analyze insert into t values 1",
        "with x as (select 1) insert into t select * from x",
        "WITH x AS (select 1 -- a\n) DELETE FROM t",
        "with x as (select ';--') merge into t using x on true when matched then delete",
        "selected",
        "showy",
        "select_1",
        "; select 1",
        "'select 1'",
        "\u0131nsert into t select 1",
    ],
)
def test_statement_that_may_write_is_not_repeatable(statement: str) -> None:
    """Anything else may do harm when it runs twice; EXPLAIN ANALYZE runs what it explains."""
    assert not statement_work.is_repeatable(statement)


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
    work = _job(samples.message({"cluster": "c", "engine": "presto", "statement": statement}, "mrs.sql.submit")).work
    assert isinstance(work, jobs.Presto)
    assert work.statement == sent


@pytest.mark.parametrize("piece", ["/*", "/**/", "--", "(", "-- x\n", "explain ", "/*/", "\n", "select "])
def test_long_noise_is_judged_quickly(piece: str) -> None:
    """No statement of legal length makes the judgement slow."""
    statement = (piece * 150_000)[:149_800]
    assert statement_work.is_repeatable(statement) in {True, False}
    assert statement_work.is_repeatable("explain " + statement) in {True, False}


def test_dead_letter_keeps_the_record() -> None:
    """What names no request is kept as it came: bytes, headers, place and time."""
    headers = (("a", b"1"), ("a", b"\xff"))
    letter = _letter(b"\xffhello", headers=headers, partition=3, key=None)
    assert letter == dead_letters.DeadLetter(
        key=None,
        value=b"\xffhello",
        headers=headers,
        code="unreadable_json",
        message=letter.message,
        topic="mrs.requests",
        partition=3,
        offset=17,
        timestamp_ms=samples.NOW_MS,
    )


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "no_value"),
        (b"", "unreadable_json"),
        (b"[" * 50_000, "unreadable_json"),
        ([], "not_an_object"),
        ({}, "bad_id"),
        (samples.message(id=7), "bad_id"),
        (samples.message(id="a\nb"), "bad_id"),
        (samples.message(source="a b"), "bad_source"),
    ],
)
def test_record_that_names_no_request_is_a_dead_letter(value: object, code: str) -> None:
    """Without a readable id there is no one to answer; the record is kept with its reason."""
    assert _letter(value).code == code


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
def test_bad_request_with_an_id_is_asked_to_its_sender(
    value: object, code: str, field: str | None, subject: str
) -> None:
    """A request that names itself becomes a rejection with reason, field, key, place and correlation."""
    event = _invalid({**value, "correlationid": "run-7"} if isinstance(value, dict) else value)
    assert (event.reason.code, event.reason.field) == (code, field)
    job = event.job
    assert (job.state, job.sequence, job.subject, job.key) == (jobs.State.REJECTED, 0, subject, b"k")
    assert (job.order, job.work, job.digest, job.correlation_id) == (17, None, "", "run-7")


def test_message_over_the_limit_is_rejected() -> None:
    """A message one byte too long is asked to its sender; its work is not kept."""
    padding = _MOST_BYTES - len(json.dumps(samples.message(extra="")))
    assert isinstance(_job(samples.message(extra="x" * padding)), jobs.Job)
    event = _invalid(samples.message(extra="x" * (padding + 1)))
    assert event.reason.code == "too_large"
    assert str(_MOST_BYTES) in event.reason.message


def test_message_far_over_the_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that names itself in its headers is rejected, any other is a dead letter; both say how large it is."""
    parsed: list[int] = []
    decode = codec.decode

    def noted(value: bytes) -> Any:
        parsed.append(len(value))
        return decode(value)

    monkeypatch.setattr(codec, "decode", noted)
    value = b"[" * (2 * _MOST_BYTES + 1)
    record = records.Record("mrs.requests", 0, 17, 5, b"k", value)
    letter = reader.read(record, frozenset(), _MOST_BYTES)
    assert isinstance(letter, dead_letters.DeadLetter)
    assert (letter.code, letter.value) == ("too_large", value)
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"r-1"), ("ce_source", b"/s"), ("ce_type", b"mrs.sql.submit"))
    shown = reader.read(msgspec.structs.replace(record, headers=headers), frozenset(), _MOST_BYTES)
    assert isinstance(shown, tuple)
    assert isinstance(shown[1], facts.InvalidRequest)
    assert (shown[1].reason.code, shown[1].job.id) == ("too_large", "r-1")
    assert all(size < 100 for size in parsed)


def test_batch_that_was_given_up_is_a_dead_letter_that_cannot_be_replayed() -> None:
    """It says which offsets and why; there is nothing to send again."""
    record = records.Record("mrs.requests", 3, 17, 0, None, None, (), "the batch at offsets 9 to 17 cannot be read")
    letter = reader.read(record, frozenset(), _MOST_BYTES)
    assert isinstance(letter, dead_letters.DeadLetter)
    assert (letter.code, letter.message) == ("unreadable_batch", record.unreadable)
    with pytest.raises(ValueError, match="cut off"):
        dead_letters.read(*letter.write()).replay()


def test_kafka_key_over_the_limit_is_rejected() -> None:
    """A key too long to be the key of every event is reported about under the request's id instead."""
    published = _invalid(key=b"x" * 1025)
    assert published.reason.code == "too_large"
    assert published.job.key is None
    assert len(job_records.encode(published.job)) < 1000


@given(
    st.text(alphabet="ab;() \n-/*", max_size=30) | st.text(max_size=30),
    st.sampled_from(["presto", "spark", "hive"]),
    st.from_regex(r"[A-Za-z0-9_]{1,5}", fullmatch=True),
    st.none() | st.from_regex(r"obs://[^\s]{1,9}", fullmatch=True),
)
def test_what_is_taken_can_be_sent(statement: str, engine: str, database: str, archive_path: str | None) -> None:
    """A request that passed its checks never fails those of the MRS client: the sender gets faults at once."""
    value = samples.sql(statement, engine, database=database, archive_path=archive_path)
    meaning = _read(samples.record(value))
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
    meaning = _read(samples.record(value, headers=headers, key=key))
    if isinstance(meaning, dead_letters.DeadLetter):
        written = meaning.write()
        assert written[1] == (value or b"")
    else:
        assert isinstance(meaning[1], facts.InvalidRequest | facts.Requested)
        assert job_records.decode(job_records.encode(meaning[1].job)) == meaning[1].job


def test_errors_of_the_messages_never_leak() -> None:
    """BadMessage is a value here, never an exception."""
    try:
        _read(samples.record(b"{"))
    except errors.BadMessage:
        pytest.fail("intake raised")


def test_limits_are_those_of_the_mrs_client() -> None:
    """Requests and the MRS client agree on job types and on how long things may be."""
    assert requests.JobType.__args__ == job_models.JobType.__args__  # type: ignore[attr-defined]  # Literals have them
    assert requests.MAX_ARGUMENTS == job_models.MAX_ARGUMENTS
    assert requests.MAX_PROPERTIES == job_models.MAX_PROPERTIES
