"""
Sign requests by AK/SK (SDK-HMAC-SHA256): pure functions of the request, the key and the time that it already carries.

`auth` puts the result into headers. Source: auth and errors, section 1, whose seven vectors are unit tests.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote, unquote

ALGORITHM: Final = "SDK-HMAC-SHA256"

MAX_BODY_BYTES: Final = 12 * 1024 * 1024
"""Largest body that may be signed with a key pair, in bytes; larger ones need a token. Source: API signing guide."""

_EMPTY_DIGEST: Final = hashlib.sha256(b"").hexdigest()
_BLOCK: Final = 64  # bytes that SHA-256 takes at a time
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.~/-]*")

QueryValue = str | int | float | bool
Query = Mapping[str, QueryValue | Iterable[QueryValue]]


class Key:
    """
    A key pair, ready to sign; its repr shows no part of the secret.

    Args:
        access: access key id (AK).
        secret: secret access key (SK).
    """

    __slots__ = ("_inner", "_outer", "access")

    def __init__(self, access: str, secret: str) -> None:
        self.access = access
        padded = secret.encode()
        padded = (hashlib.sha256(padded).digest() if len(padded) > _BLOCK else padded).ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(padded.translate(_INNER_PAD))
        self._outer = hashlib.sha256(padded.translate(_OUTER_PAD))

    def __repr__(self) -> str:
        return f"Key({self.access!r})"

    def signature(self, text: str) -> str:
        """
        Return the HMAC-SHA256 of the string to sign, in lower-case hex.

        The padded key is hashed once for all signatures, which saves two thirds of the time that `hmac` needs for one.
        """
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return outer.hexdigest()


def encode(text: str) -> str:
    """Percent-encode everything but unreserved characters, in upper-case hex, as paths and queries need it."""
    return quote(text, safe="")


@functools.lru_cache(maxsize=4096)
def canonical_path(path: str) -> str:
    """Return the path in canonical form: decoded, encoded again by segment, with a slash at the end."""
    if not _PLAIN_PATH.fullmatch(path):
        path = "/".join(encode(segment) for segment in unquote(path).split("/"))
    return path if path.endswith("/") else path + "/"


def canonical_query(query: Query) -> str:
    """Return the query in canonical form, sorted by name and value; the URL carries exactly this text."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        values = [value] if isinstance(value, str | int | float) else list(value)
        pairs.extend((name, _text(each)) for each in values)
    return "&".join([f"{encode(name)}={encode(text)}" for name, text in sorted(pairs)])


def _text(value: QueryValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    """
    The headers of a request in the form that is signed.

    Attributes:
        date: value of X-Sdk-Date.
        names: lower-case names, sorted, joined with ";".
        block: one line for each header.
    """

    date: str
    names: str
    block: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """Build from headers, which include X-Sdk-Date; leaves out names with an underscore."""
        lowered = sorted((name.lower(), value.strip()) for name, value in headers.items() if "_" not in name)
        return cls(
            date=headers["X-Sdk-Date"],
            names=";".join(name for name, _ in lowered),
            block="".join(f"{name}:{value}\n" for name, value in lowered),
        )


def canonical_request(verb: str, path: str, query: str, headers: SignedHeaders, body: bytes) -> str:
    """
    Return the text to hash.

    Args:
        verb: HTTP verb in upper case.
        path: path as the URL carries it.
        query: canonical query, as the URL carries it.
        headers: the headers to sign.
        body: the bytes exactly as they are sent.
    """
    digest = hashlib.sha256(body).hexdigest() if body else _EMPTY_DIGEST
    return f"{verb}\n{canonical_path(path)}\n{query}\n{headers.block}\n{headers.names}\n{digest}"


def string_to_sign(date: str, canonical: str) -> str:
    """
    Return the three lines to sign.

    Args:
        date: value of X-Sdk-Date.
        canonical: the canonical request.
    """
    return f"{ALGORITHM}\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def authorization(key: Key, headers: SignedHeaders, canonical: str) -> str:
    """Return the value of the Authorization header for a canonical request with these headers."""
    signature = key.signature(string_to_sign(headers.date, canonical))
    return f"{ALGORITHM} Access={key.access}, SignedHeaders={headers.names}, Signature={signature}"
