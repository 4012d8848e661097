"""The checkers of chunks and of causes: each way to break the promise is found, and a kept one has no faults."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest
from tests.support import cause_history, chunk_history, history, service, simulation_logs

ROWS = ["a", "b", "c"]
VALUES = [b"a\n", b"b\n", b"c\n"]
PREEMPTED = {"job_type": "SparkSubmit", "job_name": "etl", "properties": {"emulator.cause": "preempted"}}
LOG = "obs://lake/logs/c/j/stderr"


def digest(value: bytes) -> str:
    return f"sha-256:{hashlib.sha256(value).hexdigest()}"


def stored(number: int, at: int, value: bytes = b"", *, attempt: int = 1, at_ms: int = 10) -> chunk_history.Chunk:
    """Return a chunk of request r on partition 0."""
    value = value or VALUES[number - 1]
    headers = {
        "ce_specversion": "1.0",
        "ce_type": "mrs.sql.rows",
        "ce_id": f"r-{attempt}-rows-{number}",
        "ce_subject": "r",
        "ce_attempt": str(attempt),
        "ce_sequence": f"{number:010}",
        "ce_digest": digest(value),
    }
    return chunk_history.chunk((0, at), at_ms, [(name, one.encode()) for name, one in headers.items()], value)


def said(first: int = 0, end: int = 3, **more: Any) -> chunk_history.Named:
    """Return what an event says of the three chunks."""
    of_all = digest("".join(digest(value) for value in VALUES).encode())
    chunks: dict[str, Any] = {"partition": 0, "first_offset": first, "end_offset": end, "count": 3, "row_count": 3}
    chunks |= {"size_bytes": sum(map(len, VALUES)), "digest": of_all, **more}
    data = {"attempt": 1, "result": {"chunks": chunks}}
    found = chunk_history.named("r", 20, data)
    assert found is not None
    return found


def wrong(named: chunk_history.Named, *chunks: chunk_history.Chunk) -> list[str]:
    return [*chunk_history.faults([named], chunks, {"r": ROWS})]


THREE = [stored(number, number - 1) for number in (1, 2, 3)]


def test_chunks_that_are_all_there_have_no_faults() -> None:
    """Also where a relay that was replaced has written some of them in between, or an earlier attempt."""
    assert wrong(said(), *THREE) == []
    among = [stored(1, 0), stored(1, 1), stored(3, 2), stored(2, 3), stored(3, 4), stored(1, 5, attempt=2)]
    assert wrong(said(1, 6), *among) == []
    assert wrong(said(partition=None), *THREE) == []


@pytest.mark.parametrize(
    ("named", "chunks", "says"),
    [
        (said(), THREE[:2], "2 of 3 chunks"),
        (said(), [THREE[0], THREE[2]], "1 of 3 chunks"),
        (said(1, 3), THREE, "0 of 3 chunks"),
        (said(), [stored(number, number - 1, attempt=2) for number in (1, 2, 3)], "0 of 3 chunks"),
        (said(count=2), THREE, "3 of 2 chunks"),
        (said(digest=digest(b"other")), THREE, "the event says"),
        (said(size_bytes=7), THREE, "the event says 7"),
        (said(), [*THREE[:2], stored(3, 2, at_ms=21)], "[3] were stored after the event"),
        (said(row_count=4), THREE, "3 rows"),
        (said(), [*THREE, stored(3, 9, b"d\n")], "two different contents"),
    ],
)
def test_chunks_that_are_not_as_the_event_says_are_found(
    named: chunk_history.Named, chunks: Sequence[chunk_history.Chunk], says: str
) -> None:
    """Missing, elsewhere, of another attempt, too late, with another content, or with another number of rows."""
    found = wrong(named, *chunks)
    assert any(says in fault for fault in found), found


def test_rows_that_are_not_those_of_the_statement_are_found() -> None:
    """Whatever their digests say."""
    assert any(
        "3 rows from [['a']] on, expected 1" in one for one in chunk_history.faults([said()], THREE, {"r": ["x"]})
    )


def stream(*rows: str | int, name: str = "id") -> bytes:
    """Return an Arrow IPC stream of one column."""
    batch = pa.record_batch([pa.array(rows)], names=[name])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def of_arrow(*values: bytes, row_count: int = 3) -> list[str]:
    of_all = digest("".join(digest(value) for value in values).encode())
    named = said(0, len(values), count=len(values), row_count=row_count, digest=of_all, format="arrow")
    named = replace(named, chunks={**named.chunks, "size_bytes": sum(map(len, values))})
    return wrong(named, *(stored(at + 1, at, value) for at, value in enumerate(values)))


def test_rows_in_chunks_of_arrow_are_judged_by_their_streams() -> None:
    """Rows that are missing or others, another number, and columns that change from chunk to chunk."""
    assert of_arrow(stream("a", "b"), stream("c")) == []
    assert any("3 rows from [['x']]" in one for one in of_arrow(stream("x", "b"), stream("c")))
    assert any("expected 3; said: 4" in one for one in of_arrow(stream("a", "b"), stream("c"), row_count=4))
    assert any("same columns" in one for one in of_arrow(stream("a", "b"), stream("c", name="n")))


def test_rows_of_an_event_are_read_in_each_format() -> None:
    """Lists, objects, and Arrow."""
    shown = base64.b64encode(stream("a", "b")).decode()
    for statement in ({"rows": [["a"], ["b"]]}, {"rows": [{"id": "a"}, {"id": "b"}]}, {"rows": [], "arrow": shown}):
        assert chunk_history.rows_of_statement(statement) == [["a"], ["b"]]


def ended(state: str, reason: Mapping[str, Any], attempt: int = 1) -> history.Seen:
    """Return an event of request r."""
    return history.Seen("r", state, 3, "e", {"attempt": attempt, "reason": {"class": "job_failed", **reason}})


SHOWN = {"cause": "preempted", "log_location": LOG}
NOT_READ = {"detail_unavailable": "OBS has no such object"}


def of_causes(*events: history.Seen, on: Sequence[str] = ("preempted",), cancelled: Sequence[str] = ()) -> list[str]:
    body = service.job("r", job=PREEMPTED, retry={"attempts": 2, "on": on} if on else None)
    return [*cause_history.faults(events, {"r": cause_history.wanted(body)}, cancelled)]


def test_causes_and_retries_as_asked_have_no_faults() -> None:
    """With its log, or without it; a request that is cancelled is tried no more."""
    assert of_causes(ended("retrying", SHOWN), ended("failed", SHOWN, 2)) == []
    assert of_causes(ended("failed", NOT_READ)) == []
    assert of_causes(ended("failed", {"log_location": f"{LOG[:-6]}stdout"})) == []
    assert of_causes(ended("failed", SHOWN), cancelled=["r"]) == []
    assert of_causes(ended("failed", {}), cancelled=["r"]) == []
    assert of_causes(ended("failed", SHOWN), on=()) == []


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (
            ended("failed", {"cause": "disk", "log_location": LOG}, 2),
            "its log shows preempted, and its event says disk",
        ),
        (ended("failed", {"log_location": LOG}, 2), "its log shows preempted, and its event says None"),
        (
            ended("failed", {"cause": "preempted", **NOT_READ}, 2),
            "the cause is said to be preempted, and no log was read",
        ),
        (ended("failed", {}), "its event names no log, and does not say why"),
        (ended("retrying", NOT_READ), "attempt 1 is followed by another one after job_failed (None)"),
        (ended("retrying", SHOWN, 2), "attempt 2 of 2 is followed by another one"),
        (ended("failed", SHOWN), "attempt 1 of 2 is followed by none after preempted"),
    ],
)
def test_causes_and_retries_that_are_wrong_are_found(event: history.Seen, says: str) -> None:
    """Another cause than the log shows, a retry too many, and one that is missing."""
    assert of_causes(event) == [f"r: {says}"]


def test_an_end_that_waits_too_long_for_its_log_is_found() -> None:
    """And one that is not reported, and a log that was there and is not in its event; what is earlier is excused."""
    logs = simulation_logs.Logs(1, Counter(), {"job": 100.0, "early": 9.0}, {"job": "large", "early": "missing"})
    early = {"early": cause_history.End(90.0, {}, None)}

    def job(at_s: float, reason: Mapping[str, Any]) -> dict[str, cause_history.End]:
        return {**early, "job": cause_history.End(at_s, reason, "disk")}

    assert [*logs.faults(10.0, 20.0, job(121.0, {"log_location": LOG}))] == []
    assert [*logs.faults(10.0, 20.0, early)] == [
        "the log of job, which was large, was read, and its end was not reported"
    ]
    assert [*logs.faults(10.0, 20.0, job(140.0, {"log_location": LOG}))] == [
        "job ended 40 s after its log was asked for first, which was large"
    ]
    assert [*logs.faults(10.0, 20.0, job(121.0, NOT_READ))] == ["the log of job, which was large, is not in its event"]
