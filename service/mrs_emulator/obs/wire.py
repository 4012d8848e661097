"""A request to OBS and its reply, as plain values; which bucket and key a request names."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mrs_emulator.obs import errors, keys

_DIGITS_MAX = 18


@dataclass(frozen=True, slots=True)
class Body:
    """
    The body of a request, received whole.

    Attributes:
        path: the file that holds it.
        size: its length in bytes.
        md5: its digest.
        sha256: its digest, in hex.
    """

    path: Path
    size: int
    md5: bytes
    sha256: str

    def read(self, most: int) -> bytes:
        """
        Return the bytes of a small body; blocks.

        Raises:
            ObsError: InvalidRequest, it is larger.
        """
        if self.size > most:
            raise errors.ObsError("InvalidRequest", f"the body has {self.size} bytes, at most {most} are allowed")
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class Request:
    """
    One HTTP request.

    Attributes:
        verb: method in upper case.
        path: path as sent, still percent-encoded.
        query: parameters, decoded, in the order sent.
        headers: header fields by lower-case name.
        bucket: the bucket that host or path names; empty for none.
        key: the object's key; empty for none.
        by_host: the bucket stands in the host.
    """

    verb: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    bucket: str
    key: str
    by_host: bool

    def parameter(self, name: str) -> str | None:
        """Return the first value of a query parameter."""
        return next((value for key, value in self.query if key == name), None)

    def header(self, name: str) -> str | None:
        """Return a header of OBS's own, with either of its prefixes."""
        return self.headers.get(f"x-obs-{name}", self.headers.get(f"x-amz-{name}"))


def is_whole_number(text: str) -> bool:
    """Return whether a text is a number, 0 or more, that any client may mean; Python reads no endless digits."""
    return text.isdecimal() and len(text) <= _DIGITS_MAX


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of an open file; the reader closes it."""

    file: BinaryIO
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Reply:
    """
    One HTTP reply.

    Attributes:
        status: HTTP status.
        headers: header fields beside the length.
        body: bytes, or a stretch of a file.
        dropped: the connection ends without any reply.
        halved: it ends in the middle of the body.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Slice = b""
    dropped: bool = False
    halved: bool = False


DROPPED = Reply(0, dropped=True)
"""The connection was closed without a reply."""


def request(verb: str, raw_path: str, headers: Mapping[str, str], domains: Sequence[str]) -> Request:
    """
    Read a request's head.

    Args:
        verb: method.
        raw_path: path and query as sent.
        headers: header fields by lower-case name.
        domains: hosts whose sub-domains are buckets.

    Raises:
        ObsError: InvalidURI, KeyTooLong.
    """
    path, _, query = raw_path.partition("?")
    host = _host(headers.get("host", ""))
    domain = max((one for one in domains if host.endswith(f".{one}")), key=len, default=None)
    try:
        plain = urllib.parse.unquote(path, errors="strict").removeprefix("/")
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, errors="strict")
        bucket, key = (host.removesuffix(f".{domain}"), plain) if domain else _split(plain)
        size = len(key.encode())
    except UnicodeError as error:
        raise errors.ObsError("InvalidURI") from error
    if size > keys.KEY_MAX_BYTES:
        raise errors.ObsError("KeyTooLong")
    return Request(verb, path, pairs, headers, bucket, key, domain is not None)


def _split(plain: str) -> tuple[str, str]:
    bucket, _, key = plain.partition("/")
    return bucket, key


def _host(text: str) -> str:
    """Return the name in a Host header; empty for an address, which has no sub-domains."""
    try:
        name = urllib.parse.urlsplit(f"//{text}").hostname or ""
    except ValueError:
        return ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name
    return ""
