"""Types of fields that several requests share, each with its documented limit. Where sources differ, the wider one."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import pydantic

MAX_NODES: Final = 500
"""Core and task nodes of a cluster together. Source: CreateCluster, V1.1 and V2."""

MAX_TAGS: Final = 20
"""Tags of a cluster. Source: international pages since 2023; older ones say 10, and MRS refuses with 12005001."""

Name = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""1 to 64 letters, digits, `_` and `-`: clusters, jobs, rules."""

LongName = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
"""1 to 80 letters, digits, `_` and `-`: data sources and job binaries. A dot is not among them."""

ScriptName = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9 _-]{0,63}$")]
"""1 to 64 letters, digits, `_`, `-` and, but for the first, spaces."""

ClusterId = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
ObjectId = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
NotEmpty = Annotated[str, pydantic.StringConstraints(min_length=1)]
Description = Annotated[str, pydantic.StringConstraints(max_length=65_535)]

Nodes = Annotated[int, pydantic.Field(ge=0, le=MAX_NODES)]
"""A number of nodes, 0 to 500."""

DiskType = Literal["SATA", "SAS", "SSD", "GPSSD"]
DataDisks = Annotated[int, pydantic.Field(ge=0, le=20)]
"""Data disks of a node. Source: SDK; the pages of 2021 say at most 10."""
DataDiskSize = Annotated[int, pydantic.Field(ge=100, le=32_000)]
"""GB of a data disk."""

PageSize = Annotated[int, pydantic.Field(ge=1, le=2_147_483_646)]
PageNumber = Annotated[int, pydantic.Field(ge=1)]

_KINDS: Final = tuple(re.compile(pattern) for pattern in (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^A-Za-z0-9]"))
_FEWEST_KINDS: Final = 3
_FEWEST: Final = 8


def _checked(secret: pydantic.SecretStr, most: int) -> pydantic.SecretStr:
    text = secret.get_secret_value()
    if not _FEWEST <= len(text) <= most:
        raise ValueError(f"must have {_FEWEST} to {most} characters")
    if sum(bool(kind.search(text)) for kind in _KINDS) < _FEWEST_KINDS:
        raise ValueError("must mix at least three of lower case, upper case, digits and others")
    return secret


def _admin(secret: pydantic.SecretStr) -> pydantic.SecretStr:
    return _checked(secret, 32)


def _root(secret: pydantic.SecretStr) -> pydantic.SecretStr:
    return _checked(secret, 26)


def _reveal(secret: pydantic.SecretStr) -> str:
    return secret.get_secret_value()


AdminPassword = Annotated[pydantic.SecretStr, pydantic.AfterValidator(_admin), pydantic.PlainSerializer(_reveal)]
"""Password of the Manager's user admin: 8 to 32 characters of three kinds. Hidden in repr, sent in the body."""

RootPassword = Annotated[pydantic.SecretStr, pydantic.AfterValidator(_root), pydantic.PlainSerializer(_reveal)]
"""Password of the nodes' user root: 8 to 26 characters of three kinds. Hidden in repr, sent in the body."""


def repeated(words: list[str]) -> str | None:
    """Return the first word that stands in the list twice, or None."""
    seen: set[str] = set()
    for word in words:
        if word in seen:
            return word
        seen.add(word)
    return None
