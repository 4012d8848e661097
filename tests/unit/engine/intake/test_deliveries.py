"""How the rows of a request are delivered, within its tenant's limits."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pydantic
import pytest
from tests.unit.engine import samples

from mrs_relay import errors, tenants
from mrs_relay import settings as all_settings
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, jobs

LAKE = policies.Results(path="obs://lake/results")


def settled(results: policies.Results, *, has_arrow: bool = False, **data: Any) -> facts.Requested:
    """Read a request for SQL under a tenant's settings."""
    given = {"cluster": "c-1", "engine": "presto", "statement": "select 1", **data}
    value = json.dumps({"id": "q", "source": "/t", "type": "mrs.sql.submit", "data": given}).encode()
    policy = policies.Policy(results=results, has_arrow=has_arrow)
    meaning = reader.read(samples.record(value=value), frozenset(), 100_000, policy)
    assert isinstance(meaning, tuple)
    assert isinstance(meaning[1], facts.Requested), meaning[1]
    return meaning[1]


def test_statement_is_submitted_with_the_folder_of_results() -> None:
    """The intent in the ledger has it, and what is to become of the rows."""
    job = settled(LAKE, result={}).job
    assert isinstance(job.work, jobs.Presto)
    assert job.work.archive_path == "obs://lake/results"
    assert job.delivery == jobs.Delivery("obs://lake/results/", max_rows=10_000, max_bytes=900_000)


def test_requests_ask_for_less_and_never_for_more() -> None:
    """The limits of the settings stay."""
    limits = LAKE.model_copy(update={"max_rows": 100, "max_bytes": 5000, "url_life_s": 60})
    less = settled(limits, result={"deliver": "both", "max_rows": 7, "max_bytes": 0, "format": "csv"}).job.delivery
    assert less == jobs.Delivery("obs://lake/results/", True, 60, "csv", 7, 0)
    more = settled(limits, result={"max_rows": 1_000_000, "max_bytes": 900_000}).job.delivery
    assert more == jobs.Delivery("obs://lake/results/", True, 0, "rows", 100, 5000)
    address = settled(limits, result={"deliver": "location"}).job.delivery
    assert address is not None
    assert (address.inline, address.signed_s) == (False, 60)


def test_default_asks_for_those_who_say_nothing_and_name_no_folder() -> None:
    """Only for Presto; a request's own folder is left alone, and its own `result` wins."""
    default = LAKE.model_copy(update={"deliver": "inline", "format": "csv"})
    given = settled(default).job.delivery
    assert given is not None
    assert given.format == "csv"
    assert settled(default, archive_path="obs://pond/mine").job.delivery is None
    assert settled(default, engine="spark").job.delivery is None
    own = settled(default, result={"deliver": "location"}).job.delivery
    assert own is not None
    assert not own.inline
    assert settled(policies.Results(deliver="inline")).job.delivery is None


@pytest.mark.parametrize(
    ("results", "data", "code"),
    [
        (policies.Results(), {"result": {}}, "results_not_read"),
        (LAKE, {"result": {}, "archive_path": "obs://lake/other"}, "path_not_allowed"),
        (LAKE, {"result": {}, "archive_path": "obs://lake/results/../other"}, "path_not_allowed"),
        (LAKE, {"result": {}, "archive_path": "obs://pond/results"}, "path_not_allowed"),
    ],
)
def test_request_whose_rows_may_not_be_read_is_rejected(
    results: policies.Results, data: dict[str, Any], code: str
) -> None:
    """Before anything is submitted."""
    reason = settled(results, **data).rejection
    assert reason is not None
    assert (reason.kind, reason.code) == ("not_allowed", code)


def test_arrow_is_a_field_of_the_job_that_an_earlier_version_keeps_and_passes_over() -> None:
    """What such a version reads of the job is a delivery of rows as lists, or of chunks of CSV."""
    asked = settled(LAKE, has_arrow=True, result={"format": "arrow", "max_rows": 7})
    assert asked.rejection is None
    assert asked.job.arrow
    assert asked.job.delivery == jobs.Delivery("obs://lake/results/", max_rows=7, max_bytes=900_000)
    assert not settled(LAKE, has_arrow=True, result={"format": "csv"}).job.arrow


@pytest.mark.parametrize(
    ("has_arrow", "rule", "says"), [(False, None, "not installed"), (True, False, "results.arrow")]
)
def test_request_for_arrow_that_cannot_come_is_rejected(has_arrow: bool, rule: bool | None, says: str) -> None:
    """Whatever is to be delivered."""
    for deliver in ("inline", "location", "both"):
        limits = LAKE.model_copy(update={"arrow": rule})
        reason = settled(limits, has_arrow=has_arrow, result={"deliver": deliver, "format": "arrow"}).rejection
        assert reason is not None
        assert (reason.code, reason.field) == ("format_not_allowed", "data.result.format")
        assert says in reason.message


def test_default_of_arrow_that_cannot_come_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or every request that says nothing would be rejected; a tenant is named."""
    mrs = {"region": "cn-north-4", "project_id": "p", "access_key": "a", "secret_key": "s"}
    lake = {"path": "obs://lake/results", "deliver": "inline", "format": "arrow"}
    [one] = all_settings.load(mrs=mrs, results=lake).tenancies
    assert one.policy.has_arrow
    assert one.policy.filled["result"] == {"deliver": "inline", "format": "arrow"}
    tenants_given = {"a": {"requests": "a", "results": {"arrow": False}}}
    with pytest.raises(errors.SettingsError, match=r"tenants\.a\.results\.arrow = false contradict"):
        all_settings.load(mrs=mrs, results=lake, tenants=tenants_given)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else found(name))
    with pytest.raises(errors.SettingsError, match=r"install mrs-relay\[arrow\]"):
        all_settings.load(mrs=mrs, results=lake)
    [other] = all_settings.load(mrs=mrs, results={**lake, "format": "csv"}).tenancies
    assert not other.policy.has_arrow


def test_tenant_has_its_own_folder_in_that_of_all() -> None:
    """Or one that it names; what it leaves out is as for all."""
    shared = policies.Results(path="obs://lake/results", max_rows=5)
    assert policies.Results().below(shared, "a") == policies.Results(path="obs://lake/results/a", max_rows=5)
    assert policies.Results(path="obs://pond/x", max_rows=9).below(shared, "a").path == "obs://pond/x/"
    assert policies.Results(path="obs://pond/x", max_rows=9).below(shared, "a").max_rows == 9
    assert policies.Results().below(policies.Results(), "a").path is None
    with pytest.raises(pydantic.ValidationError, match="could lead out"):
        policies.Results(path="obs://lake/../x")


@pytest.mark.parametrize(
    "path", ["obs://lake/results/a", "obs://lake/results/a/deep", "obs://lake/results", "obs://lake"]
)
def test_folders_of_two_tenants_never_contain_each_other(path: str) -> None:
    """The settings are refused, and say which two."""
    rules = {"a": {"requests": "a"}, "b": {"requests": "b", "results": {"path": path}}}
    mrs = {"region": "cn-north-4", "project_id": "p", "access_key": "a", "secret_key": "s"}
    with pytest.raises((errors.SettingsError, pydantic.ValidationError), match="lies in that of tenant"):
        all_settings.load(mrs=mrs, results={"path": "obs://lake/results"}, tenants=rules)
    rules["b"] = {"requests": "b", "results": {"path": "obs://lake/results/ab"}}
    chosen = all_settings.load(mrs=mrs, results={"path": "obs://lake/results"}, tenants=rules)
    assert not list(tenants.folder_faults(chosen.tenancies))
