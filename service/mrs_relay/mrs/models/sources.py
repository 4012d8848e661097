"""Bodies of the V1.1 data sources: names for places in HDFS and OBS. The markers of all V1.1 lists are here too."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import pydantic

from mrs_relay.mrs.models import base, fields

SourceType = Literal["hdfs", "obs", "swift"]
"""Where it lies; swift is documented as not supported."""

_Url = Annotated[str, pydantic.Field(min_length=1, max_length=255)]


class MarkerQuery(base.Asked):
    """Page of ListDataSources, ListJobBinaries, ListJobs and ListJobExecutions."""

    limit: Annotated[int, pydantic.Field(ge=1, le=1_073_741_822)] | None = None
    """Objects per page; what MRS takes when it is absent is not documented."""
    marker: fields.ObjectId | None = None
    """Id of the object after which the page starts."""
    sort_by: Annotated[str, pydantic.StringConstraints(pattern=r"^-?[a-z_]+$")] | None = None
    """Name of a field, with `-` in front for descending."""


class Markers(base.Part):
    """The markers of the pages before and after; null where there is none."""

    prev: str | None = None
    next: str | None = None


def _fits(kind: str | None, url: str | None) -> None:
    if kind == "hdfs" and url is not None and not url.startswith("/"):
        raise ValueError("url must start with / for type hdfs")
    if kind == "obs" and url is not None and not url.startswith(("s3a://", "obs://")):
        raise ValueError("url must start with s3a:// or obs:// for type obs")


class SourceToCreate(base.Asked):
    """The body of CreateDataSource."""

    name: fields.LongName
    url: _Url
    """hdfs: starts with /. obs: starts with s3a://. At most 255 characters."""
    type: SourceType
    description: fields.Description | None = None
    credentials: dict[str, Any] | None = None
    is_protected: bool | None = None
    is_public: bool | None = None

    @pydantic.model_validator(mode="after")
    def _in_its_place(self) -> Self:
        _fits(self.type, self.url)
        return self


class SourceChange(base.Asked):
    """The body of UpdateDataSource. Whether what is absent stays is not documented."""

    type: SourceType
    """Required, unlike name and url."""
    name: fields.LongName | None = None
    url: _Url | None = None
    description: fields.Description | None = None
    is_protected: bool | None = None
    is_public: bool | None = None

    @pydantic.model_validator(mode="after")
    def _in_its_place(self) -> Self:
        _fits(self.type, self.url)
        return self


class DataSource(base.Part):
    """A data source. Its times are `YYYY-MM-DDTHH:MM:SS` without a zone."""

    id: str
    name: base.Text = ""
    type: base.Text = ""
    url: base.Text = ""
    description: base.Text = ""
    created_at: str | None = None
    updated_at: str | None = None
    """Null until the first change."""


class SourceReply(base.Reply):
    """Reply of CreateDataSource, ShowDataSource and UpdateDataSource."""

    data_source: DataSource


class SourceListReply(base.Reply):
    """Reply of ListDataSources: one page."""

    markers: Markers = pydantic.Field(default_factory=Markers)
    data_sources: tuple[DataSource, ...]
