"""Error bodies of every documented shape, and what is taken from them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mrs_relay.mrs import error_body

SHAPES: list[tuple[str, dict[str, Any], str | None, str]] = [
    ("default", {"error_code": "0176", "error_msg": "The job does not exist."}, "0176", "The job does not exist."),
    ("camel case", {"errorCode": "12000003", "errorMsg": "No cluster."}, "12000003", "No cluster."),
    ("camel case, code alone", {"errorCode": "12000003"}, "12000003", ""),
    ("gateway", {"error_msg": "m", "error_code": "APIGW.0301", "request_id": "r1"}, "APIGW.0301", "m"),
    ("IAM", {"error": {"code": 401, "message": "no", "title": "Unauthorized"}}, "401", "no"),
    ("SQL", {"error_code": "MRS.0011", "message": "m"}, "MRS.0011", "m"),
    ("cancel", {"status": "FAILED", "message": "Cancel sql error"}, None, "Cancel sql error"),
    ("nested submit", {"job_submit_result": {"error_code": "0168", "error_msg": "no Hive"}}, "0168", "no Hive"),
    ("a number as code", {"error_code": 12000002, "error_msg": "m"}, "12000002", "m"),
    ("an empty code", {"error_code": "", "error_msg": "m", "errorCode": "0162", "errorMsg": "n"}, "0162", "n"),
    ("nothing known", {"timestamp": 1, "path": "/x"}, None, ""),
]


@pytest.mark.parametrize(
    ("body", "code", "message"), [shape[1:] for shape in SHAPES], ids=[shape[0] for shape in SHAPES]
)
def test_code_and_text_are_found_in_every_shape(body: dict[str, Any], code: str | None, message: str) -> None:
    """At least five shapes are documented; the code decides, so it must be found in each."""
    says = error_body.parse(json.dumps(body).encode())
    assert (says.code, says.message) == (code, message)


def test_the_gateway_repeats_the_request_id_in_its_body() -> None:
    """When the header is missing, the body's request id is kept."""
    assert error_body.parse(b'{"error_code":"APIGW.0101","error_msg":"m","request_id":"r1"}').request_id == "r1"


@pytest.mark.parametrize("nest", [False, True])
def test_a_policy_denial_is_noticed(nest: bool) -> None:
    """The encoded denial may stand at the top or nested."""
    inner = {"error_code": "12000136", "error_msg": "m", "encoded_authorization_message": "zzz"}
    assert error_body.parse(json.dumps({"error": inner} if nest else inner).encode()).policy is True


@pytest.mark.parametrize(
    "body", [b"", b"<html>502</html>", b"[1]", b"null", b'"text"', b"\xff\xfe", b"{" * 100_000, b"[" * 100_000]
)
def test_what_is_no_json_object_tells_nothing(body: bytes) -> None:
    """Gateways and proxies answer with HTML, nothing or anything; none of it raises."""
    assert error_body.parse(body) == error_body.ErrorBody()
    assert error_body.is_failed_reply(body) is False


@pytest.mark.parametrize(
    ("body", "failed"),
    [
        ({"sql_id": "i", "status": "FAILED", "statement": "s", "message": "m"}, True),
        ({"status": "failed"}, True),
        ({"status": "FAILED", "error_code": "MRS.0011", "message": "m"}, False),
        ({"status": 500, "error": "Internal Server Error"}, False),
        ({"status": "error", "message": "m"}, False),
        ({"message": "m"}, False),
    ],
)
def test_only_a_failed_status_without_code_is_a_normal_reply(body: dict[str, Any], failed: bool) -> None:
    """A framework's own error body with a `status` of its own is not taken for a failed statement."""
    assert error_body.is_failed_reply(json.dumps(body).encode()) is failed
