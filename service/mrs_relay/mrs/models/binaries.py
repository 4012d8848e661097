"""Bodies of the V1.1 job binaries: names for the programs and scripts of stored jobs."""

from __future__ import annotations

from typing import Annotated

import pydantic

from mrs_relay.mrs.models import base, fields, sources

_Url = Annotated[str, pydantic.Field(max_length=255, pattern=r"^(s3a://|obs://|/)")]


class BinaryToCreate(base.Asked):
    """The body of CreateJobBinary. Only the address is stored; nothing is uploaded."""

    name: fields.LongName
    url: _Url
    """Starts with s3a:// or /; at most 255 characters. Newer cluster versions want obs:// (12000086)."""
    description: fields.Description = ""
    """Mandatory, so it is always sent."""
    is_protected: bool | None = None
    is_public: bool | None = None


class BinaryChange(base.Asked):
    """The body of UpdateJobBinary. Whether what is absent stays is not documented."""

    description: fields.Description
    name: fields.LongName | None = None
    url: _Url | None = None
    is_protected: bool | None = None
    is_public: bool | None = None


class JobBinary(base.Part):
    """A job binary. Its times are `YYYY-MM-DDTHH:MM:SS` without a zone."""

    id: str
    name: base.Text = ""
    url: base.Text = ""
    description: base.Text = ""
    created_at: str | None = None
    updated_at: str | None = None


class BinaryReply(base.Reply):
    """Reply of CreateJobBinary, ShowJobBinary and UpdateJobBinary."""

    job_binary: JobBinary


class BinaryListReply(base.Reply):
    """Reply of ListJobBinaries: one page."""

    markers: sources.Markers = pydantic.Field(default_factory=sources.Markers)
    binaries: tuple[JobBinary, ...]
