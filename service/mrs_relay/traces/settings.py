"""Settings of the traces."""

from __future__ import annotations

import pathlib
from typing import Annotated

import pydantic

from mrs_relay.common import addresses, described


class TracesSettings(described.Described):
    """Where spans are sent, and of which requests."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    endpoint: Annotated[addresses.Plain, pydantic.Field(pattern=r"^https?://[^\s]+$")] | None = None
    """
    Address that takes spans by OTLP over HTTP, such as http://collector:4318/v1/traces; none: no traces.

    Needs the extra `mrs-relay[traces]`. While it does not answer, spans are dropped and requests are not affected.
    """

    ratio: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.01
    """
    Share of the requests without a `traceparent` that are traced. Where a request brings one, its producer decides: a
    sampled trace is always continued, one that is not sampled never.

    Default 0.01, which keeps the cost small; 1 traces every request, at two and a half times the CPU time of one that
    is not traced.
    """

    headers_file: pathlib.Path | None = None
    """File with headers for the collector, such as its access token: a line `name: value` for each. Default none."""

    ca_file: pathlib.Path | None = None
    """Certificates (PEM) that the collector's one is checked against; by default those that `requests` ships with."""

    service: Annotated[str, pydantic.Field(min_length=1, max_length=200)] = "mrs-relay"
    """The name of the service (`service.name`) in all spans; name the deployment here when several share a backend."""
