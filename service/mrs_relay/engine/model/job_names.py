"""Names of a job: its key in the ledger, and its name on MRS with the token by which it is found again. Pure."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final, NewType

LedgerKey = NewType("LedgerKey", bytes)
"""`<source> <id>` in UTF-8: the idempotency key, and the job's key in the ledger. A source holds no space."""

TOKEN_LENGTH: Final = 16
TOKEN_PATTERN: Final = "mr[0-9a-f]{14}"  # noqa: S105 - no password
"""A submission token as a regular expression; see `submission_token`."""

_TOKEN_END: Final = re.compile(rf"-{TOKEN_PATTERN}\Z")
NAME_LENGTH: Final = 64
"""Characters of a job's name. Source: CreateExecuteJob, job_name."""


def ledger_key(source: str, request_id: str) -> LedgerKey:
    """The key of request (source, id)."""
    return LedgerKey(f"{source} {request_id}".encode())


def submission_token(key: LedgerKey, attempt: int, tenant: str = "") -> str:
    """
    Token by which an attempt is found again on MRS: `mr` and 14 hexadecimal digits (56 bits of SHA-256).

    The same request and attempt always give the same mark, so whoever takes over knows what to look for. Tenants and
    deployments that use the same source and id get different ones: none finds, adopts or stops a job of another.

    Args:
        key: of the request.
        attempt: number of the submission.
        tenant: whose it is, `deployments.owner`.
    """
    whose = f"{tenant}\n".encode() if tenant else b""
    return "mr" + hashlib.sha256(whose + key + b"\n%d" % attempt).hexdigest()[:14]


def with_token(name: str, token: str) -> str:
    """`<name>-<mark>`, the name cut so that the whole fits into MRS's 64 characters."""
    return f"{cut(name)}-{token}"


def cut(name: str) -> str:
    """As much of a wished name as has room beside a mark."""
    return name[: NAME_LENGTH - TOKEN_LENGTH - 1]


def without_token(name: str) -> str:
    """The name as it was wished, as far as it was kept, if a mark stands at its end; else the name itself."""
    return _TOKEN_END.sub("", name)


@functools.lru_cache(maxsize=4096)
def mrs_name(name: str, source: str, request_id: str, attempt: int, tenant: str) -> str:
    """Names are asked for a few times in a row for each submission; hashing once is enough."""
    return with_token(name, submission_token(ledger_key(source, request_id), attempt, tenant))
