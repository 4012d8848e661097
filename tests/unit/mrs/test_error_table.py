"""
Every error code of the documents, by what a caller may do after it; the table is kept as data in `error_table.json`.

It was written down from the reference apart from `codes`, so the two check each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import cells, clocks

from mrs_relay import errors
from mrs_relay.mrs import codes, operation, replies, transport
from mrs_relay.mrs.operations import jobs

TABLE: list[dict[str, Any]] = json.loads(Path(__file__).with_name("error_table.json").read_text())

_CASES: list[tuple[str, int, codes.Retry]] = [
    (row["code"], status, codes.Retry(row["retry"])) for row in TABLE for status in row["statuses"]
]
_READ: Mapping[codes.Retry, type[errors.MrsError]] = {
    codes.Retry.REPEAT: errors.MrsUntouched,
    codes.Retry.OPEN: errors.MrsUntouched,
    codes.Retry.LATER: errors.MrsBusy,
    codes.Retry.NEVER: errors.MrsRefused,
    codes.Retry.RENEW: errors.MrsRefused,
    codes.Retry.WAIT: errors.MrsThrottled,
}
_SUBMIT = {**_READ, codes.Retry.REPEAT: errors.MrsAmbiguous, codes.Retry.OPEN: errors.MrsAmbiguous}
_KILL = {**_READ, codes.Retry.OPEN: errors.MrsAmbiguous}

_SHAPES: list[Callable[[str], dict[str, Any]]] = [
    lambda code: {"error_code": code, "error_msg": "because"},
    lambda code: {"errorCode": code, "errorMsg": "because"},
    lambda code: {"error_msg": "because", "error_code": code, "request_id": "r1"},
    lambda code: {"error": {"code": code, "message": "because", "title": "Bad Request"}},
    lambda code: {"error_code": code, "message": "because"},
    lambda code: {"job_submit_result": {"error_code": code, "error_msg": "because"}},
    lambda code: {"error_code": code, "error_msg": "because", "encoded_authorization_message": "abc"},
]


def _failure(
    wanted: operation.AnyOperation, status: int, body: object, headers: Mapping[str, str] | None = None
) -> errors.MrsError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(errors.MrsError) as caught:
        replies.Reader(clocks.HandClock(), 30.0).read(
            wanted, wanted.path, transport.Response(status, data, headers or {"Content-Type": "application/json"})
        )
    return caught.value


def test_the_table_and_the_code_know_the_same_codes() -> None:
    """Nothing documented is unknown, and what is known beyond the table comes from the pages of single operations."""
    documented = {row["code"] for row in TABLE}
    assert documented <= codes.MEANINGS.keys()
    assert codes.MEANINGS.keys() - documented <= {
        "12000017",
        "12000065",
        "12000067",
        "12000069",
        "12000081",
        "12000082",
    }


def test_a_code_has_its_documented_class() -> None:
    """The class that the table gives, for the HTTP status that it came with."""
    found = {(code, status): codes.MEANINGS[code].for_status(status) for code, status, _ in _CASES}
    assert found == {(code, status): retry for code, status, retry in _CASES}


@pytest.mark.parametrize("retry", codes.Retry)
def test_a_code_becomes_what_the_caller_may_do(retry: codes.Retry) -> None:
    """Reads are repeated, kills are repeated unless in doubt, and a submission is never repeated blindly."""
    documented = [(code, status) for code, status, its in _CASES if its is retry]
    assert documented
    for code, status in documented:
        body = {"error_code": code, "error_msg": "because"}
        with cells.cell(code, status):
            assert type(_failure(jobs.SHOW_SINGLE_JOB_EXE, status, body)) is _READ[retry]
            if codes.MEANINGS[code].once is None:
                assert type(_failure(jobs.STOP_JOB, status, body)) is _KILL[retry]
                assert type(_failure(jobs.CREATE_EXECUTE_JOB, status, body)) is _SUBMIT[retry]


@pytest.mark.parametrize("code", ["0056", "0173", "0176", "12000003", "APIGW.0301", "MRS.0002"])
def test_the_code_is_found_in_every_shape(code: str) -> None:
    """All documented shapes of an error body tell the same."""
    for shape in _SHAPES:
        found = _failure(jobs.CREATE_EXECUTE_JOB, 400, shape(code))
        assert (found.code, type(found)) == (code, _SUBMIT[codes.MEANINGS[code].retry]), shape(code)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 411, 413, 414, 415, 422, 431, 494])
def test_a_refusal_without_a_code_is_final(status: int) -> None:
    """A gateway's own page, an empty body or garbage: the status decides, and no body is shown."""
    for body in (b"", b"<html>no</html>", b"\xff\xfe", b"[]", b'"text"', b"null", b"{", b"[" * 10_000):
        for wanted in (jobs.SHOW_SINGLE_JOB_EXE, jobs.CREATE_EXECUTE_JOB):
            with cells.cell(wanted.name, body[:20]):
                found = _failure(wanted, status, body, {"Content-Type": "text/html"})
                assert type(found) is errors.MrsRefused
                assert found.status == status
                assert "<html>" not in str(found)


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 599])
def test_a_broken_gateway_leaves_writes_in_doubt(status: int) -> None:
    """What comes without a code after 5xx may have been executed."""
    for body in (b"", b"<html>bad gateway</html>", b"{", b'{"message": "upstream"}'):
        with cells.cell(body):
            assert type(_failure(jobs.SHOW_SINGLE_JOB_EXE, status, body)) is errors.MrsUntouched
            assert type(_failure(jobs.CREATE_EXECUTE_JOB, status, body)) is errors.MrsAmbiguous
            assert type(_failure(jobs.STOP_JOB, status, body)) is errors.MrsAmbiguous


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_reported_and_never_followed(status: int) -> None:
    """The error says where it points, without path and query; a write after 302 or 303 is in doubt."""
    headers = {"Location": "https://elsewhere.example.com/login?token=secret-word"}
    read = _failure(jobs.SHOW_SINGLE_JOB_EXE, status, b"", headers)
    write = _failure(jobs.CREATE_EXECUTE_JOB, status, b"", headers)
    assert "https://elsewhere.example.com" in str(read)
    assert "secret-word" not in str(read) + str(write)
    assert type(write) is (errors.MrsAmbiguous if status in {302, 303} else errors.MrsRefused)


@pytest.mark.parametrize("body", [b"<html>login</html>", b"", b"[]", b"{}", b'{"job_detail": 7}'])
def test_a_success_that_cannot_be_read_is_no_success(body: bytes) -> None:
    """A captive portal answers 200 too: a read may be repeated, a submission must be looked up."""
    headers = {"Content-Type": "text/html"}
    assert type(_failure(jobs.SHOW_SINGLE_JOB_EXE, 200, body, headers)) is errors.MrsUntouched
    assert type(_failure(jobs.CREATE_EXECUTE_JOB, 202, body, headers)) is errors.MrsAmbiguous


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("99999999", 900.0),
        ("Mon, 23 Nov 2026 08:00:20 GMT", 20.0),
        ("soon", 30.0),
        ("-5", 30.0),
        ("", 30.0),
    ],
)
def test_retry_after_says_how_long_to_wait(value: str, wait_s: float) -> None:
    """Seconds or a date, within bounds; anything else means the usual pause."""
    body = {"error_code": "APIGW.0308", "error_msg": "over ratelimit"}
    found = _failure(jobs.CREATE_EXECUTE_JOB, 429, body, {"Retry-After": value})
    assert isinstance(found, errors.MrsThrottled)
    assert found.retry_after_s == wait_s
