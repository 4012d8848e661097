"""Read the forms that pages send, and refuse those that other sites send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import pydantic
from aiohttp import web

from mrs_relay.api import guards, problems

_Model = TypeVar("_Model", bound=pydantic.BaseModel)

_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_LONGEST_NOTE = 500
_DIGITS = 15
VERDICTS = ("succeeded", "failed", "cancelled")
"""How a request that is unknown may have ended."""


async def fields(request: web.Request, own: guards.OwnAddresses) -> Mapping[str, str]:
    """
    Return the fields of a form of this site.

    Args:
        request: with the form.
        own: addresses of this site.

    Raises:
        ProblemError: another site sent it, or it is no form.
    """
    own.require_own_page(request)
    if request.content_type not in _TYPES:
        text = f"Content-Type {request.content_type[:100]!r}: expected a form"
        raise problems.ProblemError(415, "not-a-form", text)
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def checked(given: Mapping[str, object], model: type[_Model]) -> _Model:
    """
    Read fields as the body of a call of the API.

    Raises:
        ProblemError: one is wrong.
    """
    try:
        return model.model_validate(given)
    except pydantic.ValidationError as error:
        raise problems.of_body(error) from None


def note(given: Mapping[str, str]) -> str:
    """
    Return the reason that a person gives.

    Raises:
        ProblemError: there is none, or it is too long.
    """
    text = given.get("note", "").strip()
    if not text or len(text) > _LONGEST_NOTE:
        raise problems.ProblemError(422, "invalid-body", f"reason: expected 1 to {_LONGEST_NOTE} characters")
    return text


def verdict(given: Mapping[str, str]) -> str:
    """
    Return how a person says that a request ended.

    Raises:
        ProblemError: not one of the ends.
    """
    found = given.get("verdict", "")
    if found not in VERDICTS:
        raise problems.ProblemError(422, "invalid-body", f"verdict: expected one of {', '.join(VERDICTS)}")
    return found


def number(given: Mapping[str, str], name: str) -> int:
    """
    Return a number that an earlier page wrote; 0: there is none.

    Raises:
        ProblemError: it is no number.
    """
    text = given.get(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise problems.ProblemError(422, "invalid-body", f"{name}: expected a number")
    return int(text)
