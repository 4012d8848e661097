"""Check a call before it is sent: its path values, query and body, against the operation's models."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pydantic

from mrs_relay import errors
from mrs_relay.mrs import operation, replies, signing
from mrs_relay.mrs.models import base

_ANY_PROJECT: Final = "0"
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def check(
    wanted: operation.AnyOperation,
    *,
    path: Mapping[str, str],
    query: base.Asked | Mapping[str, Any] | None = None,
    body: base.Asked | Mapping[str, Any] | None = None,
) -> None:
    """
    Check a call as a whole, without sending it.

    Raises:
        MrsRefused: a part is not well formed; the text names the field and its limit.
    """
    wanted.at(_ANY_PROJECT, path)
    query_text(wanted, query)
    body_bytes(wanted, body)


def query_text(wanted: operation.AnyOperation, given: base.Asked | Mapping[str, Any] | None) -> str:
    """Return the canonical query, checked; "" for none."""
    if given is None or not (given or wanted.query):
        return ""
    content = _checked(wanted, "query", wanted.query, given)
    try:
        return signing.canonical_query(content.model_dump(exclude_none=True))
    except Exception as error:
        raise _unbuilt(wanted, "query", error) from error


def body_bytes(wanted: operation.AnyOperation, given: base.Asked | Mapping[str, Any] | bytes | None) -> bytes:
    """Return the body's bytes, checked; b"" for none. Bytes were written by the operation's own models."""
    if wanted.body is None and not given:
        return b""
    if isinstance(given, bytes):
        return _of_size(wanted, given)
    content = _checked(wanted, "body", wanted.body, given or {})
    try:
        if given is not content and _holds_decimal(given):  # pydantic would write it as text
            plain = content.__pydantic_serializer__.to_python(content, exclude_none=True, warnings=False)
            data = _encoder.encode(plain)
        else:
            data = content.__pydantic_serializer__.to_json(content, exclude_none=True, warnings=False)
    except Exception as error:
        raise _unbuilt(wanted, "body", error) from error
    return _of_size(wanted, data)


def _of_size(wanted: operation.AnyOperation, data: bytes) -> bytes:
    if len(data) > signing.MAX_BODY_BYTES:
        raise _refused(wanted, f"body: {len(data)} bytes, MRS takes {signing.MAX_BODY_BYTES}")
    return data


def _holds_decimal(given: object) -> bool:
    """Return whether it contains a number with more digits than a float holds."""
    waiting = [given]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, decimal.Decimal):
            return True
    return False


def _checked(
    wanted: operation.AnyOperation, part: str, model: type[base.Asked] | None, given: base.Asked | Mapping[str, Any]
) -> base.Asked:
    """Return the part as its model, checked."""
    if model is None:
        raise _refused(wanted, f"{part}: this operation takes none")
    if isinstance(given, model):
        return given
    if isinstance(given, base.Asked):
        raise _refused(wanted, f"{part}: must be a {model.__name__}, not a {type(given).__name__}")
    try:
        return model.model_validate(given)
    except Exception as error:
        raise _unbuilt(wanted, part, error) from error


def _unbuilt(wanted: operation.AnyOperation, part: str, error: Exception) -> errors.MrsRefused:
    """Return the refusal of a part that cannot be built, before anything is sent: values nested too deeply, for one."""
    if isinstance(error, pydantic.ValidationError):
        return _refused(wanted, f"{part}: {replies.problems(error)}")
    return _refused(wanted, f"{part}: it cannot be written as JSON ({type(error).__name__})")


def _refused(wanted: operation.AnyOperation, why: str) -> errors.MrsRefused:
    return errors.MrsRefused(f"{wanted.name} was not sent: {why}", method=wanted.verb, path=wanted.path)
