"""Whose a job on MRS is, by its name."""

from __future__ import annotations

import hashlib
import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine import samples

from mrs_relay import tenants as all_tenants
from mrs_relay.engine import orphans
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import deployments, facts, job_names, job_records, jobs
from mrs_relay.kafka import ledger_format
from mrs_relay.kafka import settings as kafka_settings

_TAG = deployments.tag("prod")
_MARK = "mr0123456789abcd"


def _job(deployment: str, tenant: str = "", name: str = "nightly") -> jobs.Job:
    """Return what a message becomes in a deployment, submitted once."""
    data = {"cluster": samples.CLUSTER, "job": {"job_type": "MapReduce", "job_name": name}}
    message = json.dumps({"id": "r-1", "source": "/a", "type": "mrs.job.submit", "data": data}).encode()
    chosen = policies.Policy(tenant, deployment=deployment)
    meaning = reader.read(samples.record(message), frozenset(), 100_000, chosen)
    assert isinstance(meaning, tuple)
    assert isinstance(meaning[1], facts.Requested)
    return msgspec.structs.replace(meaning[1].job, state=jobs.State.RUNNING, attempt=1, seen=jobs.MrsStatus("j-1"))


def test_the_same_request_has_another_name_on_mrs_in_each_deployment() -> None:
    """Also where a tenant's name is the same, or the deployment has none of its own."""
    whose = [("", ""), ("prod", ""), ("staging", ""), ("", "a"), ("prod", "a"), ("staging", "a")]
    names = {_job(deployment, tenant).mrs_name for deployment, tenant in whose}
    marks = {name.rpartition("-")[2] for name in names}
    assert (len(names), len(marks)) == (6, 6)


def test_a_deployment_without_a_name_of_its_own_keeps_the_names_that_it_had() -> None:
    """Jobs of earlier versions are found under the same names."""
    assert _job("").mrs_name == f"nightly-{job_names.submission_token(jobs.ledger_key('/a', 'r-1'), 1)}"
    assert _job("", "a").mrs_name == f"nightly-{job_names.submission_token(jobs.ledger_key('/a', 'r-1'), 1, 'a')}"


@pytest.mark.parametrize("tenant", ["", "billing"])
def test_an_earlier_version_that_takes_the_ledger_over_looks_for_the_same_name(tenant: str) -> None:
    """After a rollback a job in doubt is found: the record's name and tenant are all that the name is made of."""
    job = _job("prod", tenant, "n" * 60)
    record = json.loads(job_records.encode(job, ledger_format.NAMED))
    whose = f"{record['tenant']}\n".encode() if record.get("tenant") else b""
    digest = hashlib.sha256(whose + b"/a r-1\n1").hexdigest()[:14]
    assert f"{record['name'][:47]}-mr{digest}" == job.mrs_name


@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), st.sampled_from(["prod", "a.b-c", "x" * 249]))
def test_a_name_with_its_tag_and_token_fits_into_mrs_and_tells_its_deployment(name: str, deployment: str) -> None:
    """64 characters at most; the wished name is found again, and no other deployment takes it for its own."""
    full = job_names.with_token(deployments.tagged(name, deployment), _MARK)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", full)
    assert deployments.belonging(full, deployment) == "ours"
    assert deployments.belonging(full, "neighbour") == "foreign"
    assert deployments.belonging(full, "") == "foreign"
    assert deployments.goes_by(full, name)
    assert name.startswith(deployments.wished_names(full)[-1])


@pytest.mark.parametrize(
    ("name", "belonging"),
    [
        (f"nightly-{_TAG}-{_MARK}", "ours"),
        (f"nightly-d00000-{_MARK}", "foreign"),
        (f"nightly-{_MARK}", "unproved"),
        (f"nightly-2026-{_MARK}", "unproved"),
        (f"{_TAG}-{_MARK}", "unproved"),
        (_MARK, None),
        ("nightly", None),
        (f"nightly-{_TAG}", None),
        ("nightly-mr0123456789abcdef", None),
        ("", None),
    ],
)
def test_names_tell_whose_a_job_is(name: str, belonging: str | None) -> None:
    """Only a tag before a token tells; a date at the end of a name is none."""
    assert deployments.belonging(name, "prod") == belonging


def test_a_cluster_goes_by_the_name_that_it_was_ordered_under() -> None:
    """With or without a tag, and only by that one."""
    assert deployments.goes_by(f"etl-{_TAG}-{_MARK}", "etl")
    assert deployments.goes_by(f"etl-d12345-{_MARK}", "etl-d12345")
    assert not deployments.goes_by(f"etl-{_TAG}-{_MARK}", "et")
    assert not deployments.goes_by(f"{'e' * 40}-{_MARK}", "e" * 60)


def test_the_default_app_id_is_no_name_and_every_other_one_is() -> None:
    """Without tenants and with them."""
    named = kafka_settings.KafkaSettings(app_id="prod")
    tenants = {"a": all_tenants.Tenant(requests="a.requests")}
    for chosen, deployment in ((kafka_settings.KafkaSettings(), ""), (named, "prod")):
        found = [*all_tenants.resolve(chosen, {}, "/s"), *all_tenants.resolve(chosen, tenants, "/s")]
        assert [one.policy.deployment for one in found] == [deployment, deployment]


@pytest.mark.parametrize(
    ("job", "proven"), [(_job("prod"), True), (_job("prod", "a"), True), (_job(""), False), (_job("", "a"), False)]
)
def test_a_duplicate_is_surely_ours_only_if_its_token_names_the_deployment(job: jobs.Job, *, proven: bool) -> None:
    """By a token of request and attempt alone, it may be the job of the same request in another deployment."""
    listed = {samples.CLUSTER: [(job.mrs_name, jobs.MrsStatus(job_id)) for job_id in ("j-1", "j-2")]}
    (found,) = orphans.find([job], listed, before_ms=1, deployment="prod")
    assert (found.kind, found.proven) == ("twin", proven)
