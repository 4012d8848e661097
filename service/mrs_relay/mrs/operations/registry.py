"""Every operation by its name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mrs_relay import errors
from mrs_relay.mrs import operation
from mrs_relay.mrs.operations import clusters, jobs, sql

_ALL: Final[tuple[operation.AnyOperation, ...]] = (
    jobs.CREATE_EXECUTE_JOB,
    jobs.SHOW_SINGLE_JOB_EXE,
    jobs.SHOW_JOB_EXE_LIST_NEW,
    jobs.STOP_JOB,
    jobs.BATCH_DELETE_JOBS,
    jobs.SHOW_SQL_RESULT_WITH_JOB,
    sql.EXECUTE_SQL,
    sql.SHOW_SQL_RESULT,
    sql.CANCEL_SQL,
    clusters.LIST_CLUSTERS,
    clusters.SHOW_CLUSTER_DETAILS,
)

OPERATIONS: Final[Mapping[str, operation.AnyOperation]] = MappingProxyType({each.name: each for each in _ALL})
"""All operations that the client can perform."""


def named(name: str) -> operation.AnyOperation:
    """
    The operation of that name.

    Raises:
        MrsRefused: there is none; nothing was sent.
    """
    found = OPERATIONS.get(name)
    if found is None:
        raise errors.MrsRefused(f"unknown operation {name!r}; known are {', '.join(sorted(OPERATIONS))}")
    return found
