"""Every operation by its name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mrs_relay import errors
from mrs_relay.mrs import operation
from mrs_relay.mrs.operations import binaries, clusters, executions, jobs, jobs_v11, policies, sources, sql, tags

_ALL: Final[tuple[operation.AnyOperation, ...]] = (
    clusters.CREATE_CLUSTER,
    clusters.RUN_JOB_FLOW,
    clusters.CREATE_CLUSTER_V11,
    clusters.UPDATE_CLUSTER_SCALING,
    clusters.LIST_CLUSTERS,
    clusters.SHOW_CLUSTER_DETAILS,
    clusters.DELETE_CLUSTER,
    clusters.LIST_HOSTS,
    jobs.CREATE_EXECUTE_JOB,
    jobs.SHOW_SINGLE_JOB_EXE,
    jobs.SHOW_JOB_EXE_LIST_NEW,
    jobs.STOP_JOB,
    jobs.BATCH_DELETE_JOBS,
    jobs.SHOW_SQL_RESULT_WITH_JOB,
    sql.EXECUTE_SQL,
    sql.SHOW_SQL_RESULT,
    sql.CANCEL_SQL,
    policies.CREATE_SCALING_POLICY,
    tags.CREATE_CLUSTER_TAG,
    tags.DELETE_CLUSTER_TAG,
    tags.LIST_CLUSTER_TAGS,
    tags.BATCH_CREATE_CLUSTER_TAGS,
    tags.LIST_ALL_TAGS,
    tags.LIST_CLUSTERS_BY_TAGS,
    sources.CREATE_DATA_SOURCE,
    sources.UPDATE_DATA_SOURCE,
    sources.LIST_DATA_SOURCES,
    sources.SHOW_DATA_SOURCE,
    sources.DELETE_DATA_SOURCE,
    binaries.CREATE_JOB_BINARY,
    binaries.UPDATE_JOB_BINARY,
    binaries.LIST_JOB_BINARIES,
    binaries.SHOW_JOB_BINARY,
    binaries.DELETE_JOB_BINARY,
    jobs_v11.CREATE_AND_EXECUTE_JOB,
    jobs_v11.CREATE_JOB,
    jobs_v11.UPDATE_JOB,
    jobs_v11.EXECUTE_JOB,
    jobs_v11.LIST_JOBS,
    jobs_v11.SHOW_JOB,
    jobs_v11.LIST_EXECUTE_JOB,
    jobs_v11.SHOW_JOB_EXES,
    jobs_v11.DELETE_JOB,
    executions.LIST_JOB_EXECUTIONS,
    executions.SHOW_JOB_EXECUTION,
    executions.CANCEL_JOB_EXECUTION,
    executions.DELETE_JOB_EXECUTION,
)

OPERATIONS: Final[Mapping[str, operation.AnyOperation]] = MappingProxyType({each.name: each for each in _ALL})
"""All operations that the client can perform."""


def named(name: str) -> operation.AnyOperation:
    """
    Return the operation of that name.

    Raises:
        MrsRefused: there is none; nothing was sent.
    """
    found = OPERATIONS.get(name)
    if found is None:
        raise errors.MrsRefused(f"unknown operation {name!r}; known are {', '.join(sorted(OPERATIONS))}")
    return found
