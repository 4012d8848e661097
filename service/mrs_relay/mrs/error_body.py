"""Parse an error body of any documented shape into its code and text. `replies` interprets them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_PAIRS: Final = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("error_code", "message"), ("code", "message"))
_LONE_CODES: Final = ("error_code", "errorCode")
_POLICY_KEY: Final = b"encoded_authorization_message"


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """
    The content of an error body.

    Attributes:
        code: MRS or gateway code, or None when the body names none.
        message: text for people, or "".
        request_id: the request id that gateway bodies repeat, or None.
        policy: whether the body carries an encoded policy denial.
    """

    code: str | None = None
    message: str = ""
    request_id: str | None = None
    policy: bool = False


def parse(body: bytes) -> ErrorBody:
    """
    Parse an error body of any documented shape; an empty, HTML or unknown body has no content.

    Source: auth and errors, section 4.2: error_code/error_msg, errorCode/errorMsg, error_code/message, code/message,
    each at the top or nested, and status/message without any code.
    """
    content = _object(body)
    if content is None:
        return ErrorBody()
    code, message = _code_and_message(content)
    request_id = content.get("request_id")
    return ErrorBody(
        code=code,
        message=message,
        request_id=request_id if isinstance(request_id, str) else None,
        policy=_POLICY_KEY in body,
    )


def is_failed_reply(body: bytes) -> bool:
    """
    Return whether the body of an error status is a normal reply that says FAILED: it has a status and no error code.

    Source: ExecuteSql, ShowSqlResult (2021: HTTP 500), CancelSql (HTTP 400, 2021: 500).
    """
    content = _object(body)
    if content is None:
        return False
    status = content.get("status")
    return isinstance(status, str) and status.strip().upper() == "FAILED" and _code_and_message(content)[0] is None


def _object(body: bytes) -> Mapping[str, object] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _code_and_message(content: Mapping[str, object], depth: int = 3) -> tuple[str | None, str]:
    for code_key, message_key in _PAIRS:
        code, message = _code(content.get(code_key)), content.get(message_key)
        if code is not None and isinstance(message, str):
            return code, message
    for key in _LONE_CODES:
        if (code := _code(content.get(key))) is not None:
            return code, ""
    for nested in content.values():
        if isinstance(nested, dict) and depth:
            code, message = _code_and_message(nested, depth - 1)
            if code is not None:
                return code, message
    message = content.get("message")
    return None, message if isinstance(message, str) else ""


def _code(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None
