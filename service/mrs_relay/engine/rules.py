"""
Whether a tenant's policy lets a request pass, and which of its rules does not. Pure.

Asked by `intake` for every request that is valid, and once more with `cluster_allowed` when a cluster is known by name
and tags. The rule's name is the setting's: whoever is turned away can tell whom to ask for what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from mrs_relay.engine import deployments, jobs, oldworks
from mrs_relay.engine import policy as policies
from mrs_relay.messages import envelope, requests
from mrs_relay.mrs.models import oldjobs

_SQL_JOBS: Final = {"spark": "SparkSql", "hive": "HiveSql", "presto": policies.PRESTO}
_SQL_CALLS: Final = frozenset({"ExecuteSql"})

_OLD_JOB_TYPES: Final[dict[object, str]] = {
    **{number.value: name for name, number in oldworks.TYPES.items()},
    oldjobs.ProgramType.HIVE_SQL.value: "HiveSql",
    oldjobs.ProgramType.SPARK_SQL.value: "SparkSql",
    "Spark": "SparkSubmit",
    "Hive": "HiveScript",
    "hql": "HiveSql",
}
"""Job types of V1.1, by number and by name. Source: job_type of submit-job, type of CreateJob."""

_JOB_TYPE_FIELDS: Final = ("job_type", "type")
_OLD_JOB_CALLS: Final = frozenset({"CreateJob", "UpdateJob"})
"""Here the job's type stands in `type`."""

_STORED_JOB_CALLS: Final = frozenset({"ExecuteJob"})
"""Here a job starts whose type stands on MRS alone: it counts as none that is named."""


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
Operations whose reply is the beginning of work that goes on, and the type of request that follows it to its end.

A call ends with the reply, so what it began would be outside a tenant's limits of what runs and for how long.
"""

_SUBMISSIONS: Final = frozenset({requests.JobSubmit, requests.SqlSubmit})

OPEN: Final = policies.Policy()
"""Where there are no tenants, there are no rules."""


def with_defaults(policy: policies.Policy, message: envelope.Envelope) -> envelope.Envelope:
    """
    The message with the tenant's defaults where it says nothing, and its longest deadlines where there is no default.

    Only fields that its type has are filled in, and the cluster only where jobs or SQL are to run: nothing is deleted
    or resized that a message does not name. A message that is no valid request anyway is left as it is.
    """
    given = policy.filled
    model = requests.MODELS.get(message.type) if given else None
    if model is None or not isinstance(message.data, dict):
        return message
    taken = model.model_fields.keys() - (set() if model in _SUBMISSIONS else {"cluster"})
    missing = {name: value for name, value in given.items() if name in taken and message.data.get(name) is None}
    return replace(message, data={**message.data, **missing}) if missing else message


def broken(policy: policies.Policy, message_type: str, request: requests.Request) -> jobs.Reason | None:
    """
    The first rule that the request breaks, as the reason of its rejection; None when it may pass.

    A cluster that may be allowed by its name or tags passes here; see `unproved`.
    """
    allow = policy.allow
    if (reason := broken_by_type(policy, message_type)) is not None:
        return reason
    if isinstance(request, requests.Call) and (refusal := _of_call(policy, request.operation)) is not None:
        return refusal
    for job_type in _job_types(request) if allow.job_types is not None else ():
        if not policies.fits(job_type, allow.job_types):
            return _not_allowed(policy, "allow.job_types", "job_type_not_allowed", "jobs of this type", "data")
    if not isinstance(request, requests.JobCancel | requests.JobResolve):
        if not all(_may_name(policy, cluster) for cluster in clusters_of(request)) or not _may_order(policy, request):
            return cluster_refusal(policy)
        return _too_long(policy, request)
    return None


def broken_by_type(policy: policies.Policy, message_type: str) -> jobs.Reason | None:
    """Return the rule that a known type of message breaks whatever it holds: it is not looked into then."""
    if message_type not in requests.MODELS or policies.fits(message_type, policy.allow.types):
        return None
    return _not_allowed(policy, "allow.types", "type_not_allowed", f"messages of type {message_type}", "type")


def clusters_of(request: requests.Request) -> list[str]:
    """Ids of the clusters that a request names, in a call's path, query and body, too."""
    if isinstance(request, requests.Call):
        given = [request.path, request.query, request.body]
        return [str(value) for name in ("cluster_id", "clusterId") for value in _values(given, name)]
    cluster = getattr(request, "cluster", None)
    return [cluster] if isinstance(cluster, str) else []


def unproved(policy: policies.Policy, request: requests.Request) -> set[str]:
    """
    Ids in a request that `broken` lets pass of which only the cluster's name or tags can tell whether it is allowed.

    Until `cluster_allowed` has said so, nothing may be submitted there.
    """
    return {cluster for cluster in clusters_of(request) if not cluster_allowed(policy, cluster, "", {})}


def cluster_allowed(policy: policies.Policy, cluster_id: str, name: str, tags: Mapping[str, str]) -> bool:
    """
    Whether a tenant may use a cluster: by its id, by its name or by one of its tags.

    A cluster that a request ordered goes by the name that the request gave it, too: what may be ordered may be used.
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


def cluster_refusal(policy: policies.Policy) -> jobs.Reason:
    """Why a request is rejected whose cluster the tenant may not use."""
    return _not_allowed(policy, "allow.clusters", "cluster_not_allowed", "this cluster", "data.cluster")


def too_many_queued(policy: policies.Policy, most: int) -> jobs.Reason:
    """Why a request is rejected while as many of its tenant wait as may."""
    text = (
        f"{_who(policy)} has {most} requests waiting here, as many as its share of {_rule(policy, 'limits.queued')} "
        "lets it have; send this one again when some have been submitted"
    )
    return jobs.Reason("not_allowed", "too_many_queued", text, retryable=True)


def _may_name(policy: policies.Policy, cluster_id: str) -> bool:
    """Whether the id is allowed, or the cluster's name or tags may yet allow it."""
    by_more = any(one.startswith((policies.NAME, policies.TAG)) for one in policy.allow.clusters or ())
    return by_more or cluster_allowed(policy, cluster_id, "", {})


def _may_order(policy: policies.Policy, request: requests.Request) -> bool:
    """Whether a cluster that is ordered will be one that the tenant may use: it has a name and tags, and no id yet."""
    if isinstance(request, requests.ClusterCreate | requests.ClusterFlow):
        body: Mapping[str, Any] = request.body
    elif isinstance(request, requests.Call) and isinstance((request.body or {}).get("cluster_name"), str):
        body = request.body or {}
    else:
        return True
    tags = body.get("tags")
    pairs = [one for one in tags if isinstance(one, dict)] if isinstance(tags, list) else []
    told = {str(one.get("key")): str(one.get("value", "")) for one in pairs}
    return cluster_allowed(policy, "", str(body.get("cluster_name", "")), told)


def _too_long(policy: policies.Policy, request: requests.Request) -> jobs.Reason | None:
    for name in ("queue_deadline_s", "run_deadline_s"):
        wanted, most = getattr(request, name, None), getattr(policy.limits, name)
        if wanted is not None and most is not None and wanted > most:
            text = (
                f"{_who(policy)} may wait {most:g} s at most, not {name} {wanted:g} "
                f"({_rule(policy, f'limits.{name}')}); ask for less, or leave it out"
            )
            return jobs.Reason("not_allowed", "deadline_too_long", text, field=f"data.{name}")
    return None


def _job_types(request: requests.Request) -> Iterator[str]:
    """Types of the jobs that a request starts, by their names of V2; "" for what is none."""
    match request:
        case requests.JobSubmit(job=job):
            yield job.job_type
        case requests.SqlSubmit(engine=engine):
            yield _SQL_JOBS[engine]
        case requests.ClusterCreate(body=body) | requests.ClusterFlow(body=body):
            yield from map(_named, _values(body, "job_type"))
        case requests.Call(operation=operation, body=body):
            yield from (policies.PRESTO for _ in range(operation in _SQL_CALLS))
            yield from ("" for _ in range(operation in _STORED_JOB_CALLS))
            for name in _JOB_TYPE_FIELDS if operation in _OLD_JOB_CALLS else _JOB_TYPE_FIELDS[:1]:
                yield from map(_named, _values(body, name))


def _of_call(policy: policies.Policy, operation: str) -> jobs.Reason | None:
    """Why an operation may not be called; limits that count only what is followed want nothing else to begin."""
    if not policies.fits(operation, policy.allow.operations):
        what = f"the operation {operation}"
        return _not_allowed(policy, "allow.operations", "operation_not_allowed", what, "data.operation")
    limits = {"limits.running": policy.limits.running, "limits.run_deadline_s": policy.limits.run_deadline_s}
    rule = next((name for name, limit in limits.items() if limit is not None), None)
    if rule is None or operation not in FOLLOWED_BY:
        return None
    text = (
        f"{_who(policy)} has a limit ({_rule(policy, rule)}) that does not see what a call of {operation} begins; "
        f"send {FOLLOWED_BY[operation]} instead, which is followed to its end"
    )
    return jobs.Reason("not_allowed", "not_followed", text, field="data.operation")


def _named(job_type: object) -> str:
    if isinstance(job_type, str) and job_type.isdecimal() and len(job_type) == 1:
        job_type = int(job_type)
    known = _OLD_JOB_TYPES.get(job_type) if isinstance(job_type, str | int) else None
    return known or (job_type if isinstance(job_type, str) else "")


def _values(node: Any, name: str) -> Iterator[Any]:  # noqa: ANN401 - JSON
    """All values of members called `name`, at any depth."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from (value for key, value in one.items() if key == name)
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _who(policy: policies.Policy) -> str:
    return f"tenant {policy.tenant}"


def _rule(policy: policies.Policy, rule: str) -> str:
    return f"tenants.{policy.tenant}.{rule}"


def _not_allowed(policy: policies.Policy, rule: str, code: str, what: str, field: str) -> jobs.Reason:
    text = (
        f"{_who(policy)} does not allow {what} ({_rule(policy, rule)}); ask whoever runs the relay to allow it, or use "
        "the topic of another tenant"
    )
    return jobs.Reason("not_allowed", code, text, field=field)
