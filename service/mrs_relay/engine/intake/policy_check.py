"""
Check a request against its tenant's policy, and name the rule that it breaks. Pure.

`reader` checks every valid request. `cluster_selector` checks again with `cluster_allowed`, when a cluster's name and
tags are known. A rule has the name of its setting, so that the sender can name it to the relay's operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mrs_relay.common import selects
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import deployments, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.messages import envelope, requests

FOLLOWED_BY: Final[Mapping[str, str]] = {
    "CreateExecuteJob": "mrs.job.submit",
    "CreateAndExecuteJob": "mrs.job.submit with api v1.1",
    "ExecuteJob": "mrs.job.submit with api v1.1",
    "ExecuteSql": "mrs.sql.submit",
    "CreateCluster": "mrs.cluster.create",
    "CreateClusterV11": "mrs.cluster.create",
    "RunJobFlow": "mrs.cluster.flow",
}
"""
Operations that start work which continues after the reply, and the type of request that follows such work to its end.

A call ends with the reply, so the work that it starts would escape a tenant's limits of running work and run time.
"""

UNRESTRICTED: Final = policies.Policy()
"""The policy without tenants: no rules."""


def with_defaults(policy: policies.Policy, message: envelope.Envelope) -> envelope.Envelope:
    """
    Fill in the tenant's defaults, and its longest deadlines where there is no default, for fields that are missing.

    Only fields of the message's type are filled in, and the cluster only for jobs and SQL: nothing is deleted or
    resized that a message does not name. A message that cannot be a valid request is returned unchanged.
    """
    given = policy.filled
    model = requests.MODELS.get(message.type) if given else None
    if model is None or not isinstance(message.data, dict):
        return message

    taken = model.model_fields.keys() - (set() if issubclass(model, requests.Submission) else {"cluster"})
    if not _is_delivered(policy, message.data):
        taken -= {"result"}
    missing = {name: value for name, value in given.items() if name in taken and message.data.get(name) is None}
    return msgspec.structs.replace(message, data={**message.data, **missing}) if missing else message


def _is_delivered(policy: policies.Policy, data: Mapping[str, Any]) -> bool:
    """
    Return whether rows of SQL are delivered that the request says nothing of.

    They stay in a folder that the request names for its own use. Of Hive and Spark a plain SELECT alone can be written.
    """
    engine, statement = data.get("engine"), data.get("statement")
    if engine not in (policy.results.engines or ("presto",)) or data.get("archive_path") is not None:
        return False
    return engine == "presto" or (isinstance(statement, str) and selects.is_plain(statement))


def violation(policy: policies.Policy, message_type: str, request: requests.Request) -> jobs.Reason | None:
    """
    Return the first rule that the request breaks, as the reason of its rejection; None: it breaks none.

    A cluster that may be allowed by its name or tags passes here; see `needs_lookup`.
    """
    allow = policy.allow
    if (reason := violation_by_type(policy, message_type)) is not None:
        return reason
    if isinstance(request, requests.JobCancel | requests.JobResolve):
        return None

    subject = kinds.taking(request).subject(request)
    if subject.operation and (refusal := _of_call(policy, subject.operation)) is not None:
        return refusal
    if allow.job_types is not None and not all(policies.fits(one, allow.job_types) for one in subject.job_types):
        return _not_allowed(policy, "allow.job_types", "job_type_not_allowed", "jobs of this type", "data")
    if not all(_may_name(policy, cluster) for cluster in subject.clusters) or not _may_order(policy, subject.ordered):
        return cluster_rejection(policy)
    return _too_long(policy, request)


def violation_by_type(policy: policies.Policy, message_type: str) -> jobs.Reason | None:
    """Return the rule that a known type of message breaks whatever its data is; the data need not be read then."""
    if message_type not in requests.MODELS or policies.fits(message_type, policy.allow.types):
        return None
    return _not_allowed(policy, "allow.types", "type_not_allowed", f"messages of type {message_type}", "type")


def needs_lookup(policy: policies.Policy, request: requests.Work) -> set[str]:
    """
    Return the ids of clusters in a request that passed `violation`, but that only their name or tags can allow.

    Nothing may be submitted to such a cluster before `cluster_allowed` has allowed it.
    """
    clusters = kinds.taking(request).subject(request).clusters
    return {cluster for cluster in clusters if not cluster_allowed(policy, cluster, "", {})}


def cluster_allowed(policy: policies.Policy, cluster_id: str, name: str, tags: Mapping[str, str]) -> bool:
    """
    Return whether a tenant may use a cluster: by its id, by its name or by one of its tags.

    A cluster that a request created counts under its requested name, too: a tenant may use what it may create.
    """
    if policy.allow.clusters is None:
        return True

    for wanted in policy.allow.clusters:
        if wanted.startswith(policies.NAME):
            pattern = (wanted.removeprefix(policies.NAME),)
            fits = bool(name) and any(policies.fits(one, pattern) for one in deployments.wished_names(name))
        elif wanted.startswith(policies.TAG):
            key, _, value = wanted.removeprefix(policies.TAG).partition("=")
            fits = tags.get(key) == value
        else:
            fits = cluster_id == wanted
        if fits:
            return True

    return False


def cluster_rejection(policy: policies.Policy) -> jobs.Reason:
    """Return the reason to reject a request for a cluster that the tenant may not use."""
    return _not_allowed(policy, "allow.clusters", "cluster_not_allowed", "this cluster", "data.cluster")


def too_many_queued(policy: policies.Policy, most: int) -> jobs.Reason:
    """Return the reason to reject a request of a tenant whose limit of waiting requests is reached."""
    text = (
        f"{_whose(policy)} has {most} requests waiting here, as many as its share of {_rule(policy, 'limits.queued')} "
        "lets it have; send this one again when some have been submitted"
    )
    return jobs.Reason("not_allowed", "too_many_queued", text, retryable=True)


def _may_name(policy: policies.Policy, cluster_id: str) -> bool:
    """Return whether the id is allowed, or the cluster's name or tags may still allow it."""
    by_more = any(one.startswith((policies.NAME, policies.TAG)) for one in policy.allow.clusters or ())
    return by_more or cluster_allowed(policy, cluster_id, "", {})


def _may_order(policy: policies.Policy, body: Mapping[str, Any] | None) -> bool:
    """Return whether the tenant may use a cluster that it creates, by its name and tags: it has no id yet."""
    if body is None:
        return True
    tags = body.get("tags")
    pairs = [one for one in tags if isinstance(one, dict)] if isinstance(tags, list) else []
    tags = {str(one.get("key")): str(one.get("value", "")) for one in pairs}
    return cluster_allowed(policy, "", str(body.get("cluster_name", "")), tags)


def _too_long(policy: policies.Policy, request: requests.Request) -> jobs.Reason | None:
    for name in ("queue_deadline_s", "run_deadline_s"):
        wanted, most = getattr(request, name, None), getattr(policy.limits, name)
        if wanted is not None and most is not None and wanted > most:
            text = (
                f"{_whose(policy)} may wait {most:g} s at most, not {name} {wanted:g} "
                f"({_rule(policy, f'limits.{name}')}); ask for less, or leave it out"
            )
            return jobs.Reason("not_allowed", "deadline_too_long", text, field=f"data.{name}")
    return None


def _of_call(policy: policies.Policy, operation: str) -> jobs.Reason | None:
    """
    Return the reason why an operation may not be called; None: it may.

    Limits of running work cover only work that is followed, so under them a call must not start any other.
    """
    if not policies.fits(operation, policy.allow.operations):
        what = f"the operation {operation}"
        return _not_allowed(policy, "allow.operations", "operation_not_allowed", what, "data.operation")

    limits = {"limits.running": policy.limits.running, "limits.run_deadline_s": policy.limits.run_deadline_s}
    rule = next((name for name, limit in limits.items() if limit is not None), None)
    if rule is None or operation not in FOLLOWED_BY:
        return None

    text = (
        f"{_whose(policy)} has a limit ({_rule(policy, rule)}) that does not see what a call of {operation} begins; "
        f"send {FOLLOWED_BY[operation]} instead, which is followed to its end"
    )
    return jobs.Reason("not_allowed", "not_followed", text, field="data.operation")


def _whose(policy: policies.Policy) -> str:
    return f"tenant {policy.tenant}"


def _rule(policy: policies.Policy, rule: str) -> str:
    return f"tenants.{policy.tenant}.{rule}"


def _not_allowed(policy: policies.Policy, rule: str, code: str, what: str, field: str) -> jobs.Reason:
    text = (
        f"{_whose(policy)} does not allow {what} ({_rule(policy, rule)}); ask the relay's operator to allow it, or use "
        "the topic of another tenant"
    )
    return jobs.Reason("not_allowed", code, text, field=field)
