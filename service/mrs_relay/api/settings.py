"""Settings of the HTTP API."""

from __future__ import annotations

from typing import Annotated, Self

import pydantic

from mrs_relay.common import addresses


class ApiSettings(pydantic.BaseModel):
    """Where `mrs-relay web` serves its HTTP API, and its limits."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """
    Address to listen on. Only a loopback address is accepted: the API has no authentication yet, so every program
    that reaches it may read everything. Put a proxy that authenticates in front of it to serve others.
    """

    port: Annotated[int, pydantic.Field(ge=0, le=65535)] = 8090
    """Port to listen on; 0 takes a free one, which the log names."""

    read_only: bool = False
    """Whether to answer questions only: then nothing is sent to Kafka, and no right to write is needed."""

    source: Annotated[str, pydantic.Field(pattern=r"^[^\s]{1,200}$")] = "/mrs-relay/http"
    """CloudEvents `source` of requests that name none. With the id it names a request, so it should never change."""

    requests_per_s: Annotated[float, pydantic.Field(gt=0, le=100_000)] = 200.0
    """HTTP requests a second that are answered; twice as many at once after a pause. More get status 429."""

    body_bytes: Annotated[int, pydantic.Field(ge=1_024, le=64 * 1024 * 1024)] = 1024 * 1024
    """Largest body of an HTTP request, in bytes; a larger one gets status 413. Kafka's limit is about 1,000,000."""

    streams: Annotated[int, pydantic.Field(ge=1, le=100_000)] = 100
    """Streams of events at the same time, and calls that wait; one more gets status 503. Each costs queries."""

    heartbeat_s: Annotated[float, pydantic.Field(ge=0.1, le=600)] = 15.0
    """Seconds without an event after which a stream gets a comment. Less than the idle timeout of proxies."""

    send_timeout_s: Annotated[float, pydantic.Field(ge=0.1, le=600)] = 20.0
    """Seconds that a reader of a stream may leave what was sent unread; then it is cut off, and may resume."""

    @pydantic.model_validator(mode="after")
    def _loopback_only(self) -> Self:
        if not addresses.is_loopback(self.host):
            raise ValueError(
                f"host: expected a loopback address such as 127.0.0.1, got {self.host!r}: there is no authentication "
                "yet, so every program on the network could read everything; put a proxy that authenticates in front"
            )
        return self
