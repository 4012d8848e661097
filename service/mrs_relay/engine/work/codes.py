"""
Define the few MRS error codes with a special meaning for the engine; for any other its class of error decides.

Source: error tables of the job, SQL and cluster operations.
"""

from __future__ import annotations

from typing import Final

from mrs_relay import errors

NO_SUCH_JOB: Final = frozenset({"0176", "0201"})
"""The job does not exist, or not yet: a fresh job may be hidden for a while."""

NO_SUCH_CLUSTER: Final = "12000003"
"""The cluster does not exist, so neither does any job on it."""

NO_OLD_JOBS: Final = frozenset({"12000064", "12000085"})
"""The cluster does not support V1.1's job API: it is a security cluster, or too new."""

NO_NEW_JOBS: Final = "0167"
"""The cluster is too old for V2's job API."""

FULL: Final = frozenset({"0177", "0202", "12000060"})
"""The cluster has no room for another job until one of its jobs ends."""

UNREADABLE_RESULT: Final = "0182"
"""MRS could not read the result of a SQL job. It always answers so for a result over its own limit."""

EMPTY_RESULT: Final = "0181"
"""The result set of a SQL job is empty."""

_ABOUT_THE_CALLER: Final = frozenset({"12000001", "130000002", "12000136", "12000052", "0190", "0192"})
"""Authentication and rights, whatever the HTTP status."""


def is_about_what_was_asked(error: errors.MrsRefused) -> bool:
    """Return whether MRS refused a read because of its content, not because of the caller's identity or rights."""
    is_gateway = error.code is not None and error.code.startswith("APIGW.")
    return not is_gateway and error.status not in {401, 403} and error.code not in _ABOUT_THE_CALLER
