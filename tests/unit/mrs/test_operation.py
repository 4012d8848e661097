"""Operations as values: their paths, and the registry that finds them by name."""

from __future__ import annotations

import pytest
from tests.support import overview
from tests.unit.mrs import support

from mrs_relay import errors
from mrs_relay.mrs import operation
from mrs_relay.mrs.models import base
from mrs_relay.mrs.operations import clusters, jobs, registry, sql


def test_every_operation_is_registered_under_its_own_name() -> None:
    """The registry holds each operation of the overview once, by the API's name for it."""
    assert {name: (each.verb, each.path) for name, each in registry.OPERATIONS.items()} == overview.OVERVIEW
    assert all(name == each.name for name, each in registry.OPERATIONS.items())
    assert registry.named("StopJob") is jobs.STOP_JOB


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """A misspelt operation is answered with the names that exist."""
    with pytest.raises(errors.MrsRefused, match=r"unknown operation 'StopJobs'.*StopJob"):
        registry.named("StopJobs")


def test_reads_are_gets_and_writes_are_not() -> None:
    """Safety and verb agree, but for the search that is a POST and the cancelling that is a GET."""
    odd = {"ListClustersByTags", "CancelJobExecution"}
    for each in registry.OPERATIONS.values():
        is_read = each.safety is operation.Safety.READ
        assert (is_read == (each.verb == "GET")) == (each.name not in odd), each.name
        assert each.body is None or not is_read or each.name in odd, each.name
        assert each.source, each.name


@pytest.mark.parametrize(
    ("each", "values", "path"),
    [
        (
            jobs.CREATE_EXECUTE_JOB,
            support.AT_CLUSTER,
            f"/v2/{support.PROJECT}/clusters/{support.CLUSTER}/job-executions",
        ),
        (
            jobs.STOP_JOB,
            support.AT_JOB,
            f"/v2/{support.PROJECT}/clusters/{support.CLUSTER}/job-executions/{support.JOB}/kill",
        ),
        (clusters.LIST_CLUSTERS, {}, f"/v1.1/{support.PROJECT}/cluster_infos"),
    ],
    ids=["submit", "kill", "clusters"],
)
def test_a_path_is_filled_with_its_values(
    each: operation.Operation[None, base.Reply], values: dict[str, str], path: str
) -> None:
    """The project comes from the connection, the rest from the caller."""
    assert each.at(support.PROJECT, values) == path


def test_path_values_are_percent_encoded() -> None:
    """A value without a documented form may hold any character but a slash."""
    path = sql.SHOW_SQL_RESULT.at(support.PROJECT, {"cluster_id": "c", "sql_id": "a b+数"})
    assert path.endswith("/sql-execution/a%20b%2B%E6%95%B0")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "'cluster_id' is missing"),
        ({"cluster_id": ""}, "'cluster_id' must match"),
        ({"cluster_id": "a/b"}, "'cluster_id' must match"),
        ({"cluster_id": ".."}, "'cluster_id' must match"),
        ({"cluster_id": "x" * 65}, "'cluster_id' must match"),
        ({"cluster_id": "c", "job_id": "j"}, "'job_id' is not part of"),
    ],
)
def test_a_bad_path_value_is_refused_by_its_name(values: dict[str, str], says: str) -> None:
    """A path that cannot be right is never sent."""
    with pytest.raises(errors.MrsRefused, match=says):
        jobs.CREATE_EXECUTE_JOB.at(support.PROJECT, values)


@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "a\nb", "x" * 257])
def test_a_free_path_value_cannot_leave_its_segment(value: str) -> None:
    """Even where no form is documented, a value is one segment of the path."""
    with pytest.raises(errors.MrsRefused, match="'sql_id' must match"):
        sql.SHOW_SQL_RESULT.at(support.PROJECT, {"cluster_id": "c", "sql_id": value})


def test_the_fields_are_what_the_caller_must_give() -> None:
    """The project is not asked of the caller."""
    assert jobs.SHOW_SINGLE_JOB_EXE.fields == ("cluster_id", "job_execution_id")
