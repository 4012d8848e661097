"""Compute the names of a job: its key in the ledger, and its name on MRS with the submission token. Pure."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final, NewType

LedgerKey = NewType("LedgerKey", bytes)
"""`<source> <id>` in UTF-8: the idempotency key, and the job's key in the ledger. A source contains no space."""

TOKEN_LENGTH: Final = 16
TOKEN_PATTERN: Final = "mr[0-9a-f]{14}"  # noqa: S105 - no password
"""A submission token as a regular expression; see `submission_token`."""

_TOKEN_END: Final = re.compile(rf"-{TOKEN_PATTERN}\Z")
NAME_LENGTH: Final = 64
"""Characters of a job's name. Source: CreateExecuteJob, job_name."""


def ledger_key(source: str, request_id: str) -> LedgerKey:
    """Return the key of request (source, id)."""
    return LedgerKey(f"{source} {request_id}".encode())


def submission_token(key: LedgerKey, attempt: int, tenant: str = "") -> str:
    """
    Return the token by which an attempt is found again on MRS: `mr` and 14 hexadecimal digits (56 bits of SHA-256).

    The same request and attempt always give the same token, so a replica that takes over can look for it. Tenants and
    deployments that use the same source and id get different tokens: none finds, adopts or stops a job of another.

    Args:
        key: of the request.
        attempt: number of the submission.
        tenant: the owner, see `deployments.owner`.
    """
    whose = f"{tenant}\n".encode() if tenant else b""
    return "mr" + hashlib.sha256(whose + key + b"\n%d" % attempt).hexdigest()[:14]


def with_token(name: str, token: str) -> str:
    """Return `<name>-<token>`, the name cut so that the whole fits into MRS's 64 characters."""
    return f"{cut(name)}-{token}"


def cut(name: str) -> str:
    """Cut a requested name so that a token still fits."""
    return name[: NAME_LENGTH - TOKEN_LENGTH - 1]


def without_token(name: str) -> str:
    """Return a name without the token at its end; a name without a token is returned unchanged."""
    return _TOKEN_END.sub("", name)


@functools.lru_cache(maxsize=4096)
def mrs_name(name: str, source: str, request_id: str, attempt: int, tenant: str) -> str:
    """Return an attempt's name on MRS. Cached, as each submission uses its name a few times in a row."""
    return with_token(name, submission_token(ledger_key(source, request_id), attempt, tenant))
