"""Write the addresses of pages, and read the filters in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from aiohttp import web

from mrs_relay.api import problems

_WITHOUT_ZONE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
_UNSAFE_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")
_TO_MINUTE: Final = len("2026-03-01T12:00")
_MOMENTS: Final = ("since", "until")


def url(path: str, values: Mapping[str, Any] | None = None, **more: Any) -> str:  # noqa: ANN401 - of a query
    """Return an address with these parameters; those without a value are left out."""
    given = {name: value for name, value in {**(values or {}), **more}.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def request_url(row: Mapping[str, Any], end: str = "", **more: Any) -> str:  # noqa: ANN401 - of a query
    """Return the address of a request's page, or of one below it; several requests may have one id."""
    path = f"/requests/{quote(row['id'], safe='')}{end}"
    return url(path, {"source": row["source"], "tenant": row["tenant"]}, **more)


def letter_url(position: str, end: str = "", **more: Any) -> str:  # noqa: ANN401 - of a query
    """Return the address of a dead letter's page, or of one below it."""
    return url(f"/dead-letters/{quote(position, safe='')}{end}", more)


def file_name(text: str) -> str:
    """Return a name for a file that a browser keeps."""
    return _UNSAFE_IN_NAMES.sub("-", text)[:100]


def following(path: str, given: Mapping[str, str], cursor: str | None) -> str | None:
    """Return the address of the page after the one with these parameters; None: it is the last one."""
    return None if cursor is None else url(path, {**given, "cursor": cursor})


def of_web(address: object) -> str | None:
    """Return an address that MRS gave if a browser may be sent there."""
    if not isinstance(address, str):
        return None
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return address if parts.scheme in {"http", "https"} and parts.netloc else None


def given(request: web.Request) -> dict[str, str]:
    """
    Return the parameters of a page. Forms send empty ones, which are left out, and times without a zone, which are UTC.

    Raises:
        ProblemError: one comes twice.
    """
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name in found:
            raise problems.ProblemError(400, "invalid-parameter", f"{name}: expected once, got several")
        if value.strip():
            found[name] = value.strip()
    return {name: with_zone(value) if name in _MOMENTS else value for name, value in found.items()}


def with_zone(moment: str) -> str:
    """Return a time as browsers write it, without a zone, as one in UTC; any other text as it is."""
    if _WITHOUT_ZONE.fullmatch(moment) is None:
        return moment
    return f"{moment}{':00' if len(moment) == _TO_MINUTE else ''}Z"
