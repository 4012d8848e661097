"""The lists that `client.Client.iterate` can read, as values; `paging` says how each is read."""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import paging
from mrs_relay.mrs.models import binaries as binary_models
from mrs_relay.mrs.models import clusters as cluster_models
from mrs_relay.mrs.models import jobs as job_models
from mrs_relay.mrs.models import jobs_v11 as v11_models
from mrs_relay.mrs.models import sources as source_models
from mrs_relay.mrs.models import tags as tag_models
from mrs_relay.mrs.operations import binaries, clusters, executions, jobs, jobs_v11, sources, tags

_MANY: Final = 100

JOBS: Final[paging.Listing[job_models.JobListReply, job_models.JobDetail]] = paging.Listing(
    operation=jobs.SHOW_JOB_EXE_LIST_NEW,
    items=lambda page: page.jobs,
    key=lambda job: job.job_id,
    way=paging.by_time,
    fields=("limit", "offset", "sort_by", "submitted_time_begin"),
    size=_MANY,
)
"""The jobs of a cluster, oldest first."""

CLUSTERS: Final[paging.Listing[cluster_models.ClusterListReply, cluster_models.Cluster]] = paging.Listing(
    operation=clusters.LIST_CLUSTERS,
    items=lambda page: page.clusters,
    key=lambda cluster: cluster.cluster_id,
    way=paging.by_number,
    fields=("pageSize", "currentPage"),
    size=_MANY,
)
"""The project's clusters."""

HOSTS: Final[paging.Listing[cluster_models.HostListReply, cluster_models.Host]] = paging.Listing(
    operation=clusters.LIST_HOSTS,
    items=lambda page: page.hosts,
    key=lambda host: host.id,
    way=paging.by_number,
    fields=("pageSize", "currentPage"),
    size=500,
)
"""The nodes of a cluster."""

OLD_JOBS: Final[paging.Listing[v11_models.JobListReplyV11, v11_models.JobV11]] = paging.Listing(
    operation=jobs_v11.LIST_EXECUTE_JOB,
    items=lambda page: page.job_executions,
    key=lambda job: job.id,
    way=paging.by_number,
    fields=("page_size", "current_page"),
    size=_MANY,
)
"""The V1.1 jobs of a cluster."""

STORED_JOBS: Final[paging.Listing[v11_models.StoredJobListReply, v11_models.StoredJob]] = paging.Listing(
    operation=jobs_v11.LIST_JOBS,
    items=lambda page: page.jobs,
    key=lambda job: job.id,
    way=paging.by_marker,
    fields=("limit", "marker"),
    size=_MANY,
)
"""The stored jobs (V1.1)."""

EXECUTIONS: Final[paging.Listing[v11_models.ExecutionListReply, v11_models.Execution]] = paging.Listing(
    operation=executions.LIST_JOB_EXECUTIONS,
    items=lambda page: page.job_executions,
    key=lambda one: one.id,
    way=paging.by_marker,
    fields=("limit", "marker"),
    size=_MANY,
)
"""The executions of stored jobs (V1.1)."""

DATA_SOURCES: Final[paging.Listing[source_models.SourceListReply, source_models.DataSource]] = paging.Listing(
    operation=sources.LIST_DATA_SOURCES,
    items=lambda page: page.data_sources,
    key=lambda source: source.id,
    way=paging.by_marker,
    fields=("limit", "marker"),
    size=_MANY,
)
"""The data sources (V1.1)."""

JOB_BINARIES: Final[paging.Listing[binary_models.BinaryListReply, binary_models.JobBinary]] = paging.Listing(
    operation=binaries.LIST_JOB_BINARIES,
    items=lambda page: page.binaries,
    key=lambda binary: binary.id,
    way=paging.by_marker,
    fields=("limit", "marker"),
    size=_MANY,
)
"""The job binaries (V1.1)."""

TAGGED_CLUSTERS: Final[paging.Listing[tag_models.TagSearchReply, tag_models.TaggedCluster]] = paging.Listing(
    operation=tags.LIST_CLUSTERS_BY_TAGS,
    items=lambda page: page.resources,
    key=lambda cluster: cluster.resource_id,
    way=paging.by_offset,
    fields=("limit", "offset"),
    size=1000,
)
"""Clusters with certain tags."""
