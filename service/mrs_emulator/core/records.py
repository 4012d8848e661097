"""What MRS remembers of one cluster, beside its jobs: frozen, so a change is a new record and can be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mrs_emulator.clusters import cluster_life
from mrs_emulator.core import checks, settings


@dataclass(frozen=True, slots=True)
class Flow:
    """
    Jobs that come with a cluster and start when it runs.

    Attributes:
        jobs: what is submitted, in this order.
        user: who ordered it.
        delete_after: the cluster is deleted when the jobs have ended.
        job_ids: ids of the jobs; None until the cluster runs.
    """

    jobs: tuple[checks.Submission, ...]
    user: str
    delete_after: bool = False
    job_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """
    A cluster.

    Attributes:
        cluster_id: its id.
        name: clusterName.
        version: clusterVersion.
        components: installed components.
        slots: unfinished jobs it holds before 0177; 0 means any number.
        created_ms: when it was ordered, in milliseconds since the epoch.
        life: what queries see, and when.
        kind: clusterType: 0 analysis, 1 streaming, 2 hybrid, 3 custom.
        kerberos: a security cluster (safeMode 1).
        prepaid: billed by the month or year; it can neither be deleted nor resized here.
        enterprise_project: id of the enterprise project.
        tags: tags in the order in which they were added.
        policies: auto scaling policies by group name, as they were sent.
        shown: further members of cluster replies, such as vpc.
        scripts: bootstrap scripts, as they were sent.
        flow: jobs that come with it.
    """

    cluster_id: str
    name: str
    version: str
    components: tuple[str, ...]
    slots: int
    created_ms: int
    life: cluster_life.Life
    kind: int = 0
    kerberos: bool = False
    prepaid: bool = False
    enterprise_project: str = "0"
    tags: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)
    scripts: tuple[Mapping[str, Any], ...] = ()
    flow: Flow | None = None


def configured(one: settings.Cluster, now_ms: int) -> Cluster:
    """Return the record of a cluster from the settings, which exists from `now_ms` on."""
    size = "emulated.4xlarge.4.linux.bigdata"
    groups = (
        cluster_life.Group("master_node_default_group", size, (0, 1)),
        cluster_life.Group("core_node_analysis_group", size, (2, 3, 4)),
    )
    scale = one.state if one.state in cluster_life.SCALING else ""
    segment = cluster_life.Segment(now_ms, one.state, groups, scale=scale)

    return Cluster(
        cluster_id=one.cluster_id,
        name=one.name,
        version=one.version,
        components=one.components,
        slots=one.slots,
        created_ms=now_ms,
        life=cluster_life.Life((segment,)),
        kerberos=one.kerberos,
        tags=one.tags,
    )
