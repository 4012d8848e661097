"""Bodies of the V1.1 tag operations."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

import pydantic

from mrs_relay.mrs.models import base, fields

_FORBIDDEN: Final = re.compile(r"[\x00-\x1f=*<>\\,|/]")
_MOST_FILTERS: Final = 10


def _tag_text(text: str) -> str:
    if _FORBIDDEN.search(text):
        raise ValueError("must not contain = * < > \\ , | / or control characters")
    if text != text.strip():
        raise ValueError("must not begin or end with a space")
    return text


TagKey = Annotated[str, pydantic.Field(min_length=1, max_length=36), pydantic.AfterValidator(_tag_text)]
TagValue = Annotated[str, pydantic.Field(max_length=43), pydantic.AfterValidator(_tag_text)]


class Tag(base.Asked):
    """A tag to put on a cluster. Source: CreateClusterTag."""

    key: TagKey
    """1 to 36 characters, unique on its cluster."""
    value: TagValue = ""
    """Up to 43 characters; may be empty."""


Tags = Annotated[tuple[Tag, ...], pydantic.Field(max_length=fields.MAX_TAGS)]
"""The tags of a new cluster: at most 20."""


def check_unique(tags: tuple[Tag, ...] | None) -> None:
    """
    Refuse tags of one key.

    Raises:
        ValueError: names the key.
    """
    key = fields.repeated([tag.key for tag in tags or ()])
    if key is not None:
        raise ValueError(f"tags: the key {key!r} occurs twice")


class TagToAdd(base.Asked):
    """The body of CreateClusterTag."""

    tag: Tag


class TagBatch(base.Asked):
    """The body of BatchCreateClusterTags, which adds or deletes."""

    action: Literal["create", "delete"]
    tags: Annotated[tuple[Tag, ...], pydantic.Field(min_length=1, max_length=fields.MAX_TAGS)]
    """At most 20. Deleting ignores the values, and tags that are not there."""

    @pydantic.model_validator(mode="after")
    def _unique(self) -> Self:
        check_unique(self.tags)
        return self


class TagFilter(base.Asked):
    """A key and the values looked for; no values: any."""

    key: Annotated[str, pydantic.Field(min_length=1, max_length=127)]
    values: Annotated[tuple[Annotated[str, pydantic.Field(max_length=255)], ...], pydantic.Field(max_length=10)] = ()


class Match(base.Asked):
    """A condition on a field of the cluster."""

    key: Literal["resource_name"] = "resource_name"
    value: Annotated[str, pydantic.Field(max_length=64)] = ""
    """Part of the cluster's name."""


_Filters = Annotated[tuple[TagFilter, ...], pydantic.Field(max_length=_MOST_FILTERS)] | None


class TagSearch(base.Asked):
    """The body of ListClustersByTags. All conditions must hold."""

    action: Literal["filter", "count"] = "filter"
    """`filter` lists a page of clusters, `count` only counts."""
    tags: _Filters = None
    """All of these."""
    tags_any: _Filters = None
    """Any of these."""
    not_tags: _Filters = None
    """Not all of these."""
    not_tags_any: _Filters = None
    """None of these."""
    limit: Annotated[int, pydantic.Field(ge=1, le=1000)] | None = None
    """Clusters per page; MRS takes 1000 when it is absent."""
    offset: Annotated[int, pydantic.Field(ge=0)] | None = None
    """Clusters to skip. Here it is an offset indeed."""
    matches: tuple[Match, ...] | None = None

    @pydantic.model_validator(mode="after")
    def _unique(self) -> Self:
        for name in ("tags_any", "not_tags", "not_tags_any"):
            key = fields.repeated([one.key for one in getattr(self, name) or ()])
            if key is not None:
                raise ValueError(f"{name}: the key {key!r} occurs twice")
        if self.action == "count" and (self.limit is not None or self.offset is not None):
            raise ValueError("limit and offset belong to action filter, not to count")
        return self


class ClusterTag(base.Part):
    """A tag that a cluster has."""

    key: str
    value: base.Text = ""


class TagListReply(base.Reply):
    """Reply of ListClusterTags."""

    tags: tuple[ClusterTag, ...]


def _as_values(value: object) -> object:
    """Return the values as a list; one page prints a single text."""
    return [value] if isinstance(value, str) else value


class TagValues(base.Part):
    """A key and all values that it has on the project's clusters."""

    key: str
    values: Annotated[
        tuple[str, ...],
        pydantic.BeforeValidator(_as_values),
        pydantic.Field(validation_alias=pydantic.AliasChoices("values", "value"), serialization_alias="values"),
    ] = ()


class AllTagsReply(base.Reply):
    """Reply of ListAllTags."""

    tags: tuple[TagValues, ...]


class TaggedCluster(base.Part):
    """A cluster that was found by its tags."""

    resource_id: str
    """The cluster's id."""
    resource_name: base.Text = ""
    tags: tuple[ClusterTag, ...] = ()


class TagSearchReply(base.Reply):
    """Reply of ListClustersByTags."""

    total_count: int
    """Clusters that match, on all pages."""
    resources: tuple[TaggedCluster, ...] = ()
    """Empty after `count`."""
