"""Settings of the forwarder of lineage."""

from __future__ import annotations

import pathlib
from typing import Annotated

import pydantic

from mrs_relay.common import addresses, described


class ForwardingSettings(described.Described):
    """Where `mrs-relay lineage forward` sends run events."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    url: Annotated[addresses.Plain, pydantic.Field(pattern=r"^https?://[^\s]+$")] | None = None
    """
    Address that takes OpenLineage events by POST: http://marquez:5000/api/v1/lineage of Marquez, or
    https://datahub:8080/openapi/openlineage/api/v1/lineage of DataHub. The forwarder does not start without it.
    """

    token_file: pathlib.Path | None = None
    """File with the bearer token for it; read again for each event, so it may be renewed."""

    ca_file: pathlib.Path | None = None
    """Certificates (PEM) to check the endpoint's against, read again when they change; default: those of the system."""

    timeout_s: Annotated[float, pydantic.Field(gt=0, le=600)] = 10.0
    """Seconds to wait for an answer to one event; then it is sent again."""

    most_backoff_s: Annotated[float, pydantic.Field(gt=0, le=3600)] = 60.0
    """Seconds between two tries while the endpoint takes no events, at most; the wait doubles from half a second."""

    host: str = "127.0.0.1"
    """Address on which the forwarder answers `/health`, `/ready` and `/metrics`; a pod's probes need 0.0.0.0."""

    port: Annotated[int, pydantic.Field(ge=0, le=65535)] = 8100
    """Port for these; 0 takes a free one, which the log names."""
