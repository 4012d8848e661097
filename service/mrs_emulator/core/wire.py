"""
Requests and replies as plain values, so that the emulator needs no socket.

`server.py` makes them from HTTP; simulations make them by hand with `Request.of`.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Request:
    """
    One HTTP request.

    Attributes:
        verb: method in upper case.
        path: path as sent, still percent-encoded, without the query.
        query: query string as sent, without the question mark.
        headers: header fields; looked up by lower-case name.
        body: body bytes as sent.
    """

    verb: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(cls, verb: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Request:
        """Build a request from a URL or path with query; header names may have any case."""
        parts = urllib.parse.urlsplit(url)
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        return cls(verb.upper(), parts.path, parts.query, lowered, body)

    def pairs(self) -> list[tuple[str, str]]:
        """Query parameters in the order sent, decoded."""
        return urllib.parse.parse_qsl(self.query, keep_blank_values=True) if self.query else []


@dataclass(frozen=True, slots=True)
class Reply:
    """
    One HTTP reply.

    Attributes:
        status: HTTP status.
        body: body bytes, possibly none.
        headers: header fields beside content type and length.
        content_type: media type of the body.
        dropped: the connection ends without any reply; all other fields mean nothing.
        cut_to: bytes of the body that are sent before the connection ends; None sends all.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json;charset=UTF-8"
    dropped: bool = False
    cut_to: int | None = None

    def with_header(self, name: str, value: str) -> Reply:
        """Return the same reply with one more header."""
        return replace(self, headers={**self.headers, name: value})

    def json(self) -> Any:  # noqa: ANN401 - JSON has any shape
        """Return the body as parsed JSON."""
        return msgspec.json.decode(self.body)


DROPPED = Reply(0, dropped=True)
"""The connection was closed without a reply."""

_encoder = msgspec.json.Encoder(decimal_format="number")


def as_json(status: int, payload: object) -> Reply:
    """Return a reply with a JSON body; decimals become exact JSON numbers."""
    return Reply(status, _encoder.encode(payload))
