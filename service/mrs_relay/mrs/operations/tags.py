"""
The V1.1 tags of clusters.

Source: v1.1 reference (tag management). Their limits are not documented.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import base, tags

_ALL: Final = "/v1.1/{project_id}/clusters"
_TAGS: Final = _ALL + "/{cluster_id}/tags"

CREATE_CLUSTER_TAG: Final[operation.Operation[tags.TagToAdd, base.Empty]] = operation.Operation(
    name="CreateClusterTag",
    verb="POST",
    path=_TAGS,
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    body=tags.TagToAdd,
    reply=base.Empty,
    accepted=frozenset({200, 202, 204}),
    source="mrs_02_0071",
)
"""Put a tag on a cluster; one of the same key is replaced."""


DELETE_CLUSTER_TAG: Final[operation.Operation[None, base.Empty]] = operation.Operation(
    name="DeleteClusterTag",
    verb="DELETE",
    path=_TAGS + "/{key}",
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    reply=base.Empty,
    accepted=frozenset({200, 202, 204}),
    source="mrs_02_0072",
)
"""Take a tag off. One that is not there is refused with 12005003 and HTTP 404."""


LIST_CLUSTER_TAGS: Final[operation.Operation[None, tags.TagListReply]] = operation.Operation(
    name="ListClusterTags",
    verb="GET",
    path=_TAGS,
    safety=operation.Safety.READ,
    per_minute=None,
    reply=tags.TagListReply,
    accepted=frozenset({200}),
    source="mrs_02_0073",
)
"""List a cluster's tags."""


BATCH_CREATE_CLUSTER_TAGS: Final[operation.Operation[tags.TagBatch, base.Empty]] = operation.Operation(
    name="BatchCreateClusterTags",
    verb="POST",
    path=_TAGS + "/action",
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    body=tags.TagBatch,
    reply=base.Empty,
    accepted=frozenset({200, 202, 204}),
    source="mrs_02_0074",
)
"""Add or delete several tags; with action `delete` it is the SDK's BatchDeleteClusterTags."""


LIST_ALL_TAGS: Final[operation.Operation[None, tags.AllTagsReply]] = operation.Operation(
    name="ListAllTags",
    verb="GET",
    path=_ALL + "/tags",
    safety=operation.Safety.READ,
    per_minute=None,
    reply=tags.AllTagsReply,
    accepted=frozenset({200}),
    source="mrs_02_0075",
)
"""List every key that the project's clusters have, with its values."""


LIST_CLUSTERS_BY_TAGS: Final[operation.Operation[tags.TagSearch, tags.TagSearchReply]] = operation.Operation(
    name="ListClustersByTags",
    verb="POST",
    path=_ALL + "/resource_instances/action",
    safety=operation.Safety.READ,
    per_minute=None,
    body=tags.TagSearch,
    reply=tags.TagSearchReply,
    accepted=frozenset({200}),
    source="mrs_02_0076",
)
"""Find or count clusters by tags and name: a POST that changes nothing."""
