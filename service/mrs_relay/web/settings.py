"""Settings of the HTTP server."""

from __future__ import annotations

from typing import Annotated

import pydantic

from mrs_relay.common import described


class WebSettings(described.Described):
    """Where health, readiness and metrics are served."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    """Whether to serve at all."""

    host: str = "127.0.0.1"
    """Address to listen on. Loopback by default; a pod's probes need 0.0.0.0."""

    port: Annotated[int, pydantic.Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 takes a free one, which the log names."""
