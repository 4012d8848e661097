"""
Tenants: settings by which one process serves several input topics, and the settings resolved for each tenant.

A tenant is a topic. It has its own consumer group, ledger and rules, and one of the connections to MRS; tenants of the
same connection share its quota and the slots of its clusters. Without tenants there is one, which has no name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, NamedTuple

import pydantic

from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.lineage import settings as lineage_settings
from mrs_relay.engine.work import arrow_stream
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.messages import reasons
from mrs_relay.obs import paths, upload_settings

OWN: Final = "mrs"
"""The connection that the settings group of this name describes."""


def group_of(connection: str) -> str:
    """Return the name of the settings group that describes a connection."""
    return connection if connection == OWN else f"connections.{connection}"


Name = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9-]*(?:_[a-z0-9-]+)*$", max_length=40)]
"""Of a tenant or connection: small letters, digits, - and single _; begins with a letter."""


class Tenant(policies.TenantPolicy):
    """One input topic and who may do what on it."""

    requests: kafka_settings.TopicName
    """Where the tenant's requests are read from; no other tenant's. Its ledger is `<requests>.ledger`."""

    connection: str = OWN
    """Which MRS its requests go to: the name of a group `connections.<name>`, or mrs for the group `mrs`."""

    events: kafka_settings.TopicName | None = None
    """Where its events are published; kafka.topics.events unless it is set. Who reads a shared topic reads them all."""

    dead_letters: kafka_settings.TopicName | None = None
    """Where its unreadable messages go; kafka.topics.dead_letters unless it is set."""

    latest: kafka_settings.TopicName | None = None
    """Where the latest status of its requests is kept; kafka.topics.latest unless it is set."""

    results_topic: kafka_settings.TopicName | None = None
    """Where rows in chunks are written; kafka.topics.results unless it is set. Who reads a shared one reads all."""

    lineage_topic: kafka_settings.TopicName | None = None
    """Where its OpenLineage run events are written; kafka.topics.lineage unless it is set."""

    lineage: lineage_settings.LineageSettings = lineage_settings.LineageSettings()
    """What its run events show; a field that is not set is that of the group `lineage`."""

    uploads: upload_settings.UploadSettings = upload_settings.UploadSettings()
    """Where the files of its senders go, where it differs from the group `uploads`; see the group."""

    event_source: Annotated[str, pydantic.Field(pattern=r"^[^\s]{1,200}$")] | None = None
    """CloudEvents `source` of its events; `<event_source>/<name>` unless it is set."""


Tenants = dict[Name, Tenant]


@dataclass(frozen=True, slots=True)
class ResolvedTenant:
    """
    The settings that one tenant is served with.

    Attributes:
        name: of the tenant; "" where there are none.
        kafka: the settings of Kafka with its topics and consumer group.
        connection: name of its connection to MRS.
        event_source: the `source` of its events.
        policy: what it may do.
        lineage: what its run events show.
    """

    name: str
    kafka: kafka_settings.KafkaSettings
    connection: str
    event_source: str
    policy: policies.Policy
    lineage: lineage_settings.LineageSettings


class Shared(NamedTuple):
    """
    The groups of all tenants from which a tenant's own may differ.

    Attributes:
        results: what becomes of rows of SQL.
        lineage: what run events show.
        causes: which logs of failed jobs are read.
    """

    results: policies.Results = policies.Results()
    lineage: lineage_settings.LineageSettings = lineage_settings.LineageSettings()
    causes: policies.Causes = policies.Causes()


def resolve(
    kafka: kafka_settings.KafkaSettings,
    tenants: Mapping[str, Tenant],
    event_source: str,
    queue_deadline_s: float = 0.0,
    shared: Shared = Shared(),  # noqa: B008 - it is frozen
) -> tuple[ResolvedTenant, ...]:
    """
    Resolve the settings of each tenant, in the order of the settings; without tenants, of the one without a name.

    The consumer group is `<group_id>.<requests>`, so a tenant may be renamed. A tenant on kafka.topics.requests keeps
    the group of a deployment without tenants: replicas from before and after the change fence each other out.

    `queue_deadline_s` is the default of requests whose tenant has neither a default nor a limit of it; 0: none.
    `shared` has what holds where a tenant does not say otherwise.
    """
    if not tenants:
        unnamed = policies.Policy(
            defaults=_with_deadline(policies.TenantPolicy(), queue_deadline_s),
            deployment=kafka.deployment,
            results=shared.results,
            causes=shared.causes,
            has_chunks=kafka.topics.results is not None,
            has_arrow=_has_arrow(shared.results),
        )
        return (ResolvedTenant("", kafka, OWN, event_source, unnamed, shared.lineage),)

    return tuple(
        _resolved(
            kafka,
            (name, tenant),
            event_source,
            _Defaults(
                _with_deadline(tenant, queue_deadline_s),
                tenant.results.below(shared.results, name),
                shared.lineage,
                tenant.causes.over(shared.causes),
            ),
        )
        for name, tenant in tenants.items()
    )


def _with_deadline(rules: policies.TenantPolicy, queue_deadline_s: float) -> policies.Defaults:
    if not queue_deadline_s or rules.defaults.queue_deadline_s or rules.limits.queue_deadline_s:
        return rules.defaults
    return rules.defaults.model_copy(update={"queue_deadline_s": queue_deadline_s})


class _Defaults(NamedTuple):
    """The values of what a tenant leaves out."""

    requests: policies.Defaults
    results: policies.Results
    lineage: lineage_settings.LineageSettings
    causes: policies.Causes


def _resolved(
    kafka: kafka_settings.KafkaSettings, named: tuple[str, Tenant], event_source: str, defaults: _Defaults
) -> ResolvedTenant:
    name, tenant = named

    # The topics that a tenant leaves out are the shared ones.
    shared = kafka.topics
    topics = kafka_settings.Topics(
        requests=tenant.requests,
        events=tenant.events or shared.events,
        dead_letters=tenant.dead_letters or shared.dead_letters,
        latest=tenant.latest or shared.latest,
        lineage=tenant.lineage_topic or shared.lineage,
        results=tenant.results_topic or shared.results,
        control=shared.control,
        audit=shared.audit,
        status=shared.status,
    )

    group_id = kafka.group_id if tenant.requests == shared.requests else f"{kafka.group_id}.{tenant.requests}"

    return ResolvedTenant(
        name=name,
        kafka=kafka.model_copy(update={"topics": topics, "group_id": group_id}),
        connection=tenant.connection,
        event_source=tenant.event_source or f"{event_source}/{name}",
        policy=policies.Policy(
            name,
            tenant.allow,
            tenant.limits,
            defaults.requests,
            kafka.deployment,
            defaults.results,
            defaults.causes,
            has_chunks=topics.results is not None,
            has_arrow=_has_arrow(defaults.results),
        ),
        lineage=defaults.lineage.model_copy(update=tenant.lineage.model_dump(exclude_unset=True)),
    )


def _has_arrow(results: policies.Results) -> bool:
    """Return whether rows can come as Arrow; without a folder for rows the question does not arise."""
    return results.path is not None and arrow_stream.is_installed()


def reads_obs(tenancies: tuple[ResolvedTenant, ...], connection: str) -> bool:
    """Return whether a tenant of a connection has a folder from which rows or logs are read."""
    mine = [one.policy for one in tenancies if one.connection == connection]
    return any(one.results.path or one.causes.path for one in mine)


def delivery_faults(tenancies: tuple[ResolvedTenant, ...]) -> Iterator[str]:
    """Yield a line if rows are to be delivered and there is no folder, no topic for chunks, or no Arrow."""
    results = [one.policy.results for one in tenancies]
    if any(one.deliver for one in results) and not any(one.path for one in results):
        yield "results.deliver does nothing without results.path: set results.path too, such as obs://lake/results"
    if any(one.policy.results.deliver == "chunks" and not one.policy.has_chunks for one in tenancies):
        yield 'results.deliver = "chunks" needs a topic: set kafka.topics.results too, such as mrs.results'
    for one in (one.policy for one in tenancies if "result" in one.policy.filled):
        if one.results.format != "arrow":
            continue
        group = f"tenants.{one.tenant}.results" if one.tenant else "results"
        if one.results.arrow is False:
            yield f'{group}.format = "arrow" and {group}.arrow = false contradict each other: change one of them'
        elif not one.has_arrow:
            yield f'{group}.format = "arrow" needs pyarrow: install mrs-relay[arrow], or choose another format'


def cause_faults(tenancies: tuple[ResolvedTenant, ...]) -> Iterator[str]:
    """Yield one line for each tenant whose requests are to be repeated after causes that it has no logs for."""
    for one in tenancies:
        on = (one.policy.defaults.retry or {}).get("on", ())
        if one.policy.causes.path is None and any(name in reasons.CAUSES for name in on):
            yield f"tenants.{one.name}.defaults.retry names causes: set causes.path, from whose logs they are known"


def lineage_faults(tenancies: tuple[ResolvedTenant, ...], tenants: Mapping[str, Tenant]) -> Iterator[str]:
    """Yield one line for each `spark_parent` that does nothing, as there is no topic of the runs that it would name."""
    without = [one for one in tenancies if one.lineage.spark_parent and one.kafka.topics.lineage is None]
    owned = [one.name for one in without if one.name and "spark_parent" in tenants[one.name].lineage.model_fields_set]
    for name in owned:
        yield (
            f"tenants.{name}.lineage.spark_parent does nothing without a topic of lineage: set "
            f"tenants.{name}.lineage_topic too, or kafka.topics.lineage, such as mrs.lineage"
        )
    if len(without) > len(owned) and all(one.kafka.topics.lineage is None for one in tenancies):
        yield "lineage.spark_parent does nothing without kafka.topics.lineage: set it too, such as mrs.lineage"


def folder_faults(tenancies: tuple[ResolvedTenant, ...]) -> Iterator[str]:
    """Yield one line for each two tenants of which one could read the other's results."""
    owned = [(one.name, paths.folder(one.policy.results.path)) for one in tenancies if one.policy.results.path]
    yield from _nested(owned, "results")


def _nested(owned: list[tuple[str, paths.Place]], group: str) -> Iterator[str]:
    """Yield one line for each folder of a tenant that lies in another tenant's."""
    for (name, folder), (other, above) in itertools.permutations(owned, 2):
        if paths.is_below(folder, above) and (folder != above or name < other):
            yield f"tenants.{name}.{group}.path ({folder}) lies in that of tenant {other} ({above}); separate them"


def uploads_of(
    shared: upload_settings.UploadSettings, tenants: Mapping[str, Tenant], name: str
) -> upload_settings.UploadSettings:
    """Return where the files of a tenant's senders go; "" is the one tenant of settings without tenants."""
    return tenants[name].uploads.below(shared, name) if name else shared


def upload_faults(
    shared: upload_settings.UploadSettings, tenants: Mapping[str, Tenant], tenancies: tuple[ResolvedTenant, ...]
) -> Iterator[str]:
    """Yield one line for each folder of uploads that contains, or lies in, another tenant's or one of results."""
    uploads = [(one.name, uploads_of(shared, tenants, one.name).path) for one in tenancies]
    owned = [(name, paths.folder(path)) for name, path in uploads if path]
    yield from _nested(owned, "uploads")

    results = [paths.folder(path) for one in tenancies if (path := one.policy.results.path)]
    for _, folder in owned:
        for other_folder in results:
            if paths.is_below(folder, other_folder) or paths.is_below(other_folder, folder):
                yield (
                    f"uploads.path ({folder}) and results.path ({other_folder}) contain each other; separate them: "
                    "what removes old results would remove programs"
                )


def topic_faults(tenancies: tuple[ResolvedTenant, ...]) -> Iterator[str]:
    """Yield one line for each topic that has two roles, or that two tenants would read."""
    roles: dict[str, set[str]] = {}
    for one in tenancies:
        topics = one.kafka.topics
        own = f" of tenant {one.name}"
        for topic, role in (
            (topics.requests, f"requests{own}"),
            (topics.ledger, f"the ledger{own}"),
            (topics.events, "events"),
            (topics.dead_letters, "dead letters"),
            (topics.latest, "latest states"),
            (topics.lineage, "lineage"),
            (topics.results, "results"),
            (topics.control, "controls"),
            (topics.audit, "decisions"),
            (topics.status, "status"),
        ):
            if topic is not None:
                roles.setdefault(topic, set()).add(role)

    for topic, several in roles.items():
        if len(several) > 1:
            yield f"topic {topic} cannot be used for {' and '.join(sorted(several))} at once"
