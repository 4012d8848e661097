"""
The V1.1 data sources.

Source: v1.1 reference (data sources). Limits and the codes of missing or used ones are not documented.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import base, sources

_SOURCES: Final = "/v1.1/{project_id}/data-sources"
_SOURCE: Final = _SOURCES + "/{data_source_id}"

CREATE_DATA_SOURCE: Final[operation.Operation[sources.SourceToCreate, sources.SourceReply]] = operation.Operation(
    name="CreateDataSource",
    verb="POST",
    path=_SOURCES,
    safety=operation.Safety.NON_REPEATABLE_WRITE,
    per_minute=None,
    body=sources.SourceToCreate,
    reply=sources.SourceReply,
    accepted=frozenset({200, 201, 202}),
    source="mrs_02_0022",
)
"""Name a place in HDFS or OBS. Whether names are unique is not documented: look a lost reply up in the list."""


UPDATE_DATA_SOURCE: Final[operation.Operation[sources.SourceChange, sources.SourceReply]] = operation.Operation(
    name="UpdateDataSource",
    verb="PUT",
    path=_SOURCE,
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    body=sources.SourceChange,
    reply=sources.SourceReply,
    accepted=frozenset({200, 201, 202}),
    source="mrs_02_0023",
)
"""Change a data source."""


LIST_DATA_SOURCES: Final[operation.Operation[None, sources.SourceListReply]] = operation.Operation(
    name="ListDataSources",
    verb="GET",
    path=_SOURCES,
    safety=operation.Safety.READ,
    per_minute=None,
    query=sources.MarkerQuery,
    reply=sources.SourceListReply,
    accepted=frozenset({200}),
    source="mrs_02_0024",
)
"""List the data sources by page; the next page starts after the marker."""


SHOW_DATA_SOURCE: Final[operation.Operation[None, sources.SourceReply]] = operation.Operation(
    name="ShowDataSource",
    verb="GET",
    path=_SOURCE,
    safety=operation.Safety.READ,
    per_minute=None,
    reply=sources.SourceReply,
    accepted=frozenset({200}),
    source="mrs_02_0025",
)
"""Read a data source."""


DELETE_DATA_SOURCE: Final[operation.Operation[None, base.Empty]] = operation.Operation(
    name="DeleteDataSource",
    verb="DELETE",
    path=_SOURCE,
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    reply=base.Empty,
    accepted=frozenset({200, 202, 204}),
    source="mrs_02_0026",
)
"""Delete a data source; the data stay where they are."""
