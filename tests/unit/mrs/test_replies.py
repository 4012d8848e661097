"""From a response to its meaning: every failure becomes the one error that tells the caller what to do."""

from __future__ import annotations

import email.utils
from typing import Any

import pytest
from tests.support import cells, clocks
from tests.unit.mrs import support

from mrs_relay import errors
from mrs_relay.mrs import operation, replies, transport
from mrs_relay.mrs.models import base
from mrs_relay.mrs.operations import clusters, jobs, registry, sql

AnyOperation = operation.Operation[Any, Any]

SUBMIT, READ_JOB, LIST, KILL = (
    jobs.CREATE_EXECUTE_JOB,
    jobs.SHOW_SINGLE_JOB_EXE,
    jobs.SHOW_JOB_EXE_LIST_NEW,
    jobs.STOP_JOB,
)
RUN, READ_SQL, CANCEL = sql.EXECUTE_SQL, sql.SHOW_SQL_RESULT, sql.CANCEL_SQL

REFUSED, BUSY, UNTOUCHED, AMBIGUOUS, THROTTLED = (
    errors.MrsRefused,
    errors.MrsBusy,
    errors.MrsUntouched,
    errors.MrsAmbiguous,
    errors.MrsThrottled,
)


def read(wanted: AnyOperation, response: transport.Response, clock: clocks.HandClock | None = None) -> base.Reply:
    """Return what the client makes of a response."""
    reader = replies.Reader(clock or clocks.HandClock(), throttled_wait_s=30.0)
    reply: base.Reply = reader.read(wanted, "/v2/p/x", response)
    return reply


def failure(
    wanted: AnyOperation, response: transport.Response, clock: clocks.HandClock | None = None
) -> errors.MrsError:
    """Return the error that a response becomes."""
    with pytest.raises(errors.MrsError) as caught:
        read(wanted, response, clock)
    return caught.value


def coded(status: int, code: str, text: str = "text") -> transport.Response:
    """Return an error in the default shape."""
    return support.answer(status, {"error_code": code, "error_msg": text}, {"X-Request-Id": "r-1"})


@pytest.mark.parametrize(("wanted", "kind"), [(SUBMIT, AMBIGUOUS), (READ_JOB, UNTOUCHED)])
@pytest.mark.parametrize("broken", [RecursionError("hunter2"), OverflowError("hunter2"), KeyError("hunter2")])
def test_reply_that_makes_us_fail_leaves_its_outcome_open(
    monkeypatch: pytest.MonkeyPatch, wanted: AnyOperation, kind: type[errors.MrsError], broken: Exception
) -> None:
    """The call has been made: a write is in doubt, a read may be repeated, and the error's text is not reported."""

    def fail(*_: Any) -> Any:
        raise broken

    monkeypatch.setattr(replies.Reader, "_parse", fail)
    error = failure(wanted, support.answer(200, {"job_id": "j-1"}))
    assert type(error) is kind
    assert type(broken).__name__ in error.message
    assert "hunter2" not in error.message


# operation, status, code, error
BY_CODE: list[tuple[AnyOperation, int, str, type[errors.MrsError]]] = [
    # N: final for everything, whatever the status says
    (SUBMIT, 400, "0168", REFUSED),
    (SUBMIT, 500, "0168", REFUSED),
    (READ_JOB, 400, "0176", REFUSED),
    (READ_JOB, 500, "0176", REFUSED),
    (KILL, 500, "0201", REFUSED),
    (SUBMIT, 400, "12000003", REFUSED),
    (SUBMIT, 403, "APIGW.0302", REFUSED),
    # L: nothing was done
    (SUBMIT, 400, "0177", BUSY),
    (SUBMIT, 500, "0177", BUSY),
    (SUBMIT, 500, "0202", BUSY),
    (SUBMIT, 500, "12000060", BUSY),
    (SUBMIT, 400, "0056", BUSY),
    (jobs.SHOW_SQL_RESULT_WITH_JOB, 400, "0183", BUSY),
    (jobs.SHOW_SQL_RESULT_WITH_JOB, 400, "0180", BUSY),
    (KILL, 400, "0180", BUSY),
    # L that may speak of the job which was just submitted
    (SUBMIT, 400, "0180", AMBIGUOUS),
    # Q: a read again, a write in doubt
    (SUBMIT, 500, "0173", AMBIGUOUS),
    (SUBMIT, 400, "12000061", AMBIGUOUS),
    (SUBMIT, 500, "0194", AMBIGUOUS),
    (SUBMIT, 502, "APIGW.0201", AMBIGUOUS),
    (SUBMIT, 504, "APIGW.0201", AMBIGUOUS),
    (SUBMIT, 413, "APIGW.0201", REFUSED),
    (SUBMIT, 500, "APIGW.0601", AMBIGUOUS),
    (KILL, 500, "APIGW.0601", AMBIGUOUS),
    (READ_JOB, 500, "APIGW.0601", UNTOUCHED),
    (READ_JOB, 504, "APIGW.0201", UNTOUCHED),
    (LIST, 500, "12000004", UNTOUCHED),
    # R: a read or a repeatable write again; a submission in doubt, unless it surely failed before
    (LIST, 400, "0166", UNTOUCHED),
    (READ_JOB, 500, "0174", UNTOUCHED),
    (KILL, 400, "0175", UNTOUCHED),
    (jobs.BATCH_DELETE_JOBS, 500, "0161", UNTOUCHED),
    (SUBMIT, 400, "0023", AMBIGUOUS),
    (SUBMIT, 500, "0191", AMBIGUOUS),
    (SUBMIT, 503, "APIGW.0613", AMBIGUOUS),
    # credentials
    (SUBMIT, 401, "APIGW.0301", REFUSED),
    (LIST, 401, "APIGW.0307", REFUSED),
    (SUBMIT, 500, "130000002", REFUSED),
    # codes without documentation: the status decides
    (SUBMIT, 400, "99999999", REFUSED),
    (SUBMIT, 500, "99999999", AMBIGUOUS),
    (KILL, 500, "99999999", AMBIGUOUS),
    (READ_JOB, 500, "99999999", UNTOUCHED),
    # quota
    (SUBMIT, 429, "APIGW.0308", THROTTLED),
    (LIST, 429, "99999999", THROTTLED),
    (LIST, 403, "APIGW.0308", THROTTLED),
]


def test_code_and_safety_choose_the_error() -> None:
    """The class of the code decides, never 4xx or 5xx alone; for a write in doubt the error says so."""
    for wanted, status, code, kind in BY_CODE:
        with cells.cell(wanted.name, status, code):
            error = failure(wanted, coded(status, code))
            assert type(error) is kind
            assert (error.method, error.path, error.status, error.code) == (wanted.verb, "/v2/p/x", status, code)
            assert error.request_id == "r-1"


HTML = b"<html><body>502 Bad Gateway, secret-word</body></html>"

# status, body, error of a read, of a kill, of a submission
BY_STATUS: list[tuple[int, bytes, type[errors.MrsError], type[errors.MrsError], type[errors.MrsError]]] = [
    (500, b"", UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
    (502, HTML, UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
    (503, HTML, UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
    (504, b"{}", UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
    (599, b"", UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
    (400, b"", REFUSED, REFUSED, REFUSED),
    (401, b"", REFUSED, REFUSED, REFUSED),
    (403, HTML, REFUSED, REFUSED, REFUSED),
    (404, b"not found", REFUSED, REFUSED, REFUSED),
    (408, b"", UNTOUCHED, UNTOUCHED, UNTOUCHED),
    (413, b"", REFUSED, REFUSED, REFUSED),
    (429, HTML, THROTTLED, THROTTLED, THROTTLED),
    (494, b"", REFUSED, REFUSED, REFUSED),
    (301, b"", REFUSED, REFUSED, REFUSED),
    (302, b"", UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
    (303, b"", UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
    (307, b"", REFUSED, REFUSED, REFUSED),
    (206, b"", UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
    (200, HTML, UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
    (202, b"{", UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
    (202, b"[]", UNTOUCHED, AMBIGUOUS, AMBIGUOUS),
]


@pytest.mark.parametrize(
    ("status", "body", "kinds"),
    [(status, body, kinds) for status, body, *kinds in BY_STATUS],
    ids=[f"{status}-{len(body)}" for status, body, *_ in BY_STATUS],
)
def test_without_a_code_the_status_chooses_the_error(
    status: int, body: bytes, kinds: list[type[errors.MrsError]]
) -> None:
    """Gateways and proxies answer without a code; a write stays in doubt unless it was surely refused."""
    response = transport.Response(status, body, {"Content-Type": "text/html"})
    assert [type(failure(wanted, response)) for wanted in (READ_JOB, KILL, SUBMIT)] == kinds


def test_a_body_that_is_not_json_is_described_and_not_shown() -> None:
    """An error carries the size and type of a foreign body, never its text."""
    text = str(failure(SUBMIT, transport.Response(502, HTML, {"Content-Type": "text/html; charset=utf-8"})))
    assert f"{len(HTML)} bytes of text/html" in text
    assert "secret-word" not in text
    assert "empty body" in str(failure(SUBMIT, transport.Response(502, b"")))


@pytest.mark.parametrize(
    "body",
    [
        {"error_code": "0168", "error_msg": "no Hive"},
        {"errorCode": "0168", "errorMsg": "no Hive"},
        {"job_submit_result": {"error_code": "0168", "error_msg": "no Hive"}},
        {"error_code": "0168", "message": "no Hive"},
    ],
)
@pytest.mark.parametrize("status", [200, 202, 400, 500])
def test_every_shape_is_understood_with_every_status(status: int, body: dict[str, object]) -> None:
    """A refused submission is refused, in whichever shape and with whichever status it is reported."""
    error = failure(SUBMIT, support.answer(status, body))
    assert type(error) is REFUSED
    assert error.code == "0168"
    assert "no Hive" in str(error)


@pytest.mark.parametrize("state", ["FAILED", "JOBSTAT_SUBMIT_FAILED", "failed"])
@pytest.mark.parametrize("job_id", [{}, {"job_id": ""}, {"job_id": "j"}, {"job_id": None}])
def test_a_submission_can_fail_with_a_success_status(state: str, job_id: dict[str, object]) -> None:
    """State FAILED, or its name at OTC, is a refusal even with 202 and even beside a job id."""
    error = failure(SUBMIT, support.answer(202, {"job_submit_result": {"state": state, **job_id}}))
    assert type(error) is REFUSED


def test_a_failed_submission_with_an_open_code_is_in_doubt() -> None:
    """The class of a nested code counts also where the status says success."""
    body = {"job_submit_result": {"state": "FAILED", "error_code": "0173", "error_msg": "m"}}
    assert type(failure(SUBMIT, support.answer(200, body))) is AMBIGUOUS


@pytest.mark.parametrize("result", [{}, {"state": "COMPLETE"}, {"state": "COMPLETE", "job_id": ""}])
def test_an_accepted_submission_without_a_job_id_is_in_doubt(result: dict[str, object]) -> None:
    """A success that names no job may have started one."""
    assert type(failure(SUBMIT, support.answer(202, {"job_submit_result": result}))) is AMBIGUOUS


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_accepted_submission_gives_its_job_id(status: int) -> None:
    """All three success codes in use are taken; the request id is kept."""
    body = {"job_submit_result": {"job_id": support.JOB, "state": "COMPLETE"}, "extra": 1}
    reply = read(SUBMIT, support.answer(status, body, {"X-Request-Id": "r-1"}))
    assert getattr(reply, "job_id", None) == support.JOB
    assert reply.request_id == "r-1"


def test_an_error_body_is_never_read_as_success() -> None:
    """With a success status too, a body that names an error code is that error: no empty list, no done kill."""
    for wanted in registry.OPERATIONS.values():
        for status in wanted.accepted:
            with cells.cell(wanted.name, status):
                error = failure(wanted, support.answer(status, {"error_code": "12000002", "error_msg": "m"}))
                assert (type(error), error.code) == (REFUSED, "12000002")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"result":"succeeded"}'])
def test_a_kill_needs_no_body(body: bytes) -> None:
    """The reply of a kill is empty in most documents and a result in one."""
    assert isinstance(read(KILL, transport.Response(202, body)), base.Empty)


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("wanted", [RUN, READ_SQL])
def test_a_failed_statement_is_a_reply_whatever_the_status(wanted: AnyOperation, status: int) -> None:
    """Pages of 2021 send a failed statement with HTTP 500; it is a result, not an error."""
    body = {"sql_id": "i", "status": "FAILED", "statement": "select 1", "message": "line 1:1: no"}
    reply = read(wanted, support.answer(status, body))
    assert reply.model_dump(include={"id", "status", "message"}) == {
        "id": "i",
        "status": "FAILED",
        "message": "line 1:1: no",
    }


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_failed_cancel_is_a_reply_whatever_the_status(status: int) -> None:
    """Cancelling that did not work carries no code; the caller reads `done` and may cancel again."""
    reply = read(CANCEL, support.answer(status, {"status": "FAILED", "message": "Cancel sql error"}))
    assert getattr(reply, "done", None) is False


def test_a_gateway_error_with_a_status_of_its_own_is_no_reply() -> None:
    """Only FAILED without a code is a normal reply; a framework's error body leaves a statement in doubt."""
    body = {"status": "error", "message": "backend"}
    assert type(failure(RUN, support.answer(500, body))) is AMBIGUOUS
    assert type(failure(RUN, support.answer(429, {"status": "FAILED"}))) is THROTTLED


@pytest.mark.parametrize(
    ("text", "run", "show"),
    [
        ("Failed to submit the SQL request to Executor (cluster ID: 6b2f).", AMBIGUOUS, UNTOUCHED),
        ("", AMBIGUOUS, UNTOUCHED),
        ("提交失败", AMBIGUOUS, UNTOUCHED),
        ("The Presto component is not installed.", REFUSED, REFUSED),
        ("Only one statement is supported.", REFUSED, REFUSED),
    ],
)
@pytest.mark.parametrize("status", [400, 500])
def test_mrs_0011_is_in_doubt_only_when_it_may_tell_of_a_failed_hand_over(
    text: str, run: type[errors.MrsError], show: type[errors.MrsError], status: int
) -> None:
    """One code for many refusals and one open outcome, distinguished by its text; a text we cannot read stays open."""
    response = support.answer(status, {"error_code": "MRS.0011", "message": text})
    assert type(failure(RUN, response)) is run
    assert type(failure(READ_SQL, response)) is show


NOW = email.utils.formatdate(support.START_MS / 1000, usegmt=True)
SOON = email.utils.formatdate(support.START_MS / 1000 + 42, usegmt=True)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ({}, 30.0),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 7 "}, 7.0),
        ({"Retry-After": SOON}, 42.0),
        ({"Retry-After": NOW}, 1.0),
        ({"Retry-After": "0"}, 1.0),
        ({"Retry-After": "86400"}, replies.MAX_WAIT_S),
        ({"Retry-After": "soon"}, 30.0),
        ({"Retry-After": "-5"}, 30.0),
    ],
)
def test_a_throttled_call_says_how_long_to_wait(header: dict[str, str], wait_s: float) -> None:
    """Retry-After in seconds or as a date, within reason; without it the setting."""
    error = failure(SUBMIT, support.answer(429, {"error_code": "APIGW.0308", "error_msg": "m"}, header))
    assert isinstance(error, errors.MrsThrottled)
    assert error.retry_after_s == wait_s


def test_a_clock_that_is_off_is_reported_by_how_much() -> None:
    """APIGW.0303 is documented for a date more than 15 minutes off; the reply's Date tells the distance."""
    clock = clocks.HandClock(support.START_MS + 1_200_000)
    response = support.answer(401, {"error_code": "APIGW.0303", "error_msg": "m"}, {"Date": NOW})
    error = failure(SUBMIT, response, clock)
    assert type(error) is REFUSED
    assert "clock is +1200 s off" in str(error)
    assert "set this machine's clock" in str(failure(SUBMIT, coded(401, "APIGW.0303")))


def test_a_refused_key_pair_says_what_to_check() -> None:
    """The error names the settings to look at."""
    assert "check access_key, secret_key" in str(failure(LIST, coded(401, "APIGW.0301")))
    assert "check access_key, secret_key" in str(failure(LIST, transport.Response(401, b"")))


def test_a_redirect_names_where_it_points_without_its_query() -> None:
    """Something in front of MRS answered: the address helps, its query might hold a token."""
    response = transport.Response(307, b"", {"Location": "https://login.example.com/x?token=secret-word"})
    text = str(failure(LIST, response))
    assert "https://login.example.com" in text
    assert "secret-word" not in text


def test_a_policy_denial_says_so() -> None:
    """An encoded denial is for an administrator to decode."""
    body = {"error_code": "12000136", "error_msg": "m", "encoded_authorization_message": "zzz"}
    text = str(failure(LIST, support.answer(403, body)))
    assert "a policy denies it" in text
    assert "zzz" not in text


def test_a_long_message_is_cut_and_kept_on_one_line() -> None:
    """An error stays readable in a log whatever MRS writes."""
    text = str(failure(LIST, coded(400, "12000002", "a\nb " + "x" * 5000)))
    assert "a b xxx" in text
    assert len(text) < 700


def test_an_unreadable_reply_names_the_fields_and_not_their_values() -> None:
    """A model error may not carry parts of a body."""
    body = {"job_detail": {"job_id": "j", "job_state": "RUNNING", "job_progress": "secret-word"}}
    error = failure(READ_JOB, support.answer(202, body))
    assert type(error) is UNTOUCHED
    assert "job_detail.job_progress" in str(error)
    assert "secret-word" not in str(error) + repr(error.__cause__)


def test_the_clusters_of_v1_are_refused_alike() -> None:
    """A missing cluster is 12000003 with 400, or a bare 404 in older regions."""
    body = {"errorCode": "12000003", "errorMsg": "m"}
    assert type(failure(clusters.SHOW_CLUSTER_DETAILS, support.answer(400, body))) is REFUSED
    assert type(failure(clusters.SHOW_CLUSTER_DETAILS, support.answer(404))) is REFUSED
