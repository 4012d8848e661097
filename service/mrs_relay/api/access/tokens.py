"""
Bearer tokens from a file that holds only their hashes.

A token is 256 random bits, so its SHA-256 gives nothing away and needs no salt. One line of the file:

    sha256:HEX NAME ROLE@TENANT[,ROLE@TENANT…] [END as 2027-01-01T00:00:00Z]

Empty lines and those that begin with # are skipped. The file is read again when it changes; if it cannot be read then,
the former tokens stay in force and a warning is logged.
"""

from __future__ import annotations

import hashlib
import hmac
import pathlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.api.access import callers
from mrs_relay.common import clock

PREFIX: Final = "mrsr_"
"""How our tokens begin, so that scanners for leaked secrets find them."""

_BYTES: Final = 32
_NAME: Final = re.compile(r"[^\s#,]{1,100}")
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")
_FIELDS: Final = (3, 4)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Token:
    """
    A line of the file.

    Attributes:
        digest: SHA-256 of the token.
        caller: who has it.
        until_ms: when it ends, epoch milliseconds; None: never.
    """

    digest: bytes
    caller: callers.Caller
    until_ms: int | None

    def has_ended(self, now_ms: int) -> bool:
        """Return whether the token is too old."""
        return self.until_ms is not None and now_ms >= self.until_ms


def make(name: str, grants: callers.Grants, until_ms: int | None) -> tuple[str, str]:
    """
    Make a token; returns it, and its line for the file.

    Raises:
        SettingsError: the name cannot be used.
    """
    if _NAME.fullmatch(name) is None:
        raise errors.SettingsError(f"name {name[:100]!r}: expected up to 100 characters without spaces, # and commas")
    token = PREFIX + secrets.token_urlsafe(_BYTES)
    words = [f"sha256:{digest(token).hex()}", name, callers.write_grants(grants)]
    return token, " ".join([*words, *([] if until_ms is None else [clock.rfc3339(until_ms)])])


def read(text: str) -> Iterator[Token]:
    """
    Read the lines of a file.

    Raises:
        ValueError: says which line has another form.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                yield _token(line.split())
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _token(fields: list[str]) -> Token:
    if len(fields) not in _FIELDS:
        raise ValueError(f"expected sha256:HEX NAME GRANTS [END], got {len(fields)} fields")
    hashed, name, grants, *end = fields
    if (found := _HASH.fullmatch(hashed)) is None:
        raise ValueError("expected sha256: and 64 hexadecimal digits first; `mrs-relay web token` makes a line")
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"name {name[:100]!r}: expected up to 100 characters without # and commas")
    until_ms = clock.epoch_ms(end[0]) if end else None
    return Token(bytes.fromhex(found[1]), callers.Caller("api_key", name, callers.read_grants(grants)), until_ms)


class TokenFile:
    """
    The tokens of a file that may change.

    Args:
        path: the file.

    Raises:
        SettingsError: it cannot be read.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._seen: object = None
        try:
            self._seen, self._tokens = self._read()
        except (OSError, ValueError) as error:
            raise errors.SettingsError(f"api.access.tokens_file: {path}: {_reason(error)}") from error

    def find(self, digest: bytes) -> Token | None:
        """
        Return the line of the token with this digest, ended or not.

        All lines are compared, so the time does not tell which one.
        """
        self._refresh()
        found = None
        for one in self._tokens:
            if hmac.compare_digest(one.digest, digest):
                found = one
        return found

    def _refresh(self) -> None:
        if self._stamp() == self._seen:
            return
        try:
            self._seen, self._tokens = self._read()
        except (OSError, ValueError) as error:
            self._seen = self._stamp()  # one warning for each change
            _log.warning("tokens_not_reloaded", file=str(self._path), error=_reason(error))
        else:
            _log.info("tokens_reloaded", file=str(self._path), count=len(self._tokens))

    def _read(self) -> tuple[object, tuple[Token, ...]]:
        stamp = self._stamp()  # before the content: a change in between is read by the next call
        return stamp, tuple(read(self._path.read_text(encoding="utf-8")))

    def _stamp(self) -> object:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def digest(token: str) -> bytes:
    """Return the SHA-256 of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
