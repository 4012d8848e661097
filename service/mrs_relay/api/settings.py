"""Settings of the HTTP API."""

from __future__ import annotations

from typing import Annotated, Self

import pydantic

from mrs_relay.api.access import settings as access_settings
from mrs_relay.common import addresses, described

Address = Annotated[str, pydantic.Field(pattern=r"^https?://[^\s/?#@]+$")]
"""An address without a path, such as https://mrs.example."""


class ApiSettings(described.Described):
    """Where `mrs-relay web` serves its HTTP API, and its limits."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """
    Address to listen on. Others than loopback addresses are accepted only where api.access says who may call, because
    every program that reaches the API could read and send everything.
    """

    port: Annotated[int, pydantic.Field(ge=0, le=65535)] = 8090
    """Port to listen on; 0 takes a free one, which the log names."""

    addresses: frozenset[Address] = frozenset()
    """
    Addresses by which callers know the API, such as https://mrs.example; needed for names. Requests for other names
    than these, loopback names and the address that was connected to are refused, and so are pages of other sites.
    """

    access: access_settings.AccessSettings = pydantic.Field(default_factory=access_settings.AccessSettings)
    """Who may call."""

    tls: access_settings.TlsSettings = pydantic.Field(default_factory=access_settings.TlsSettings)
    """TLS."""

    read_only: bool = False
    """Whether to answer questions only: then nothing is sent to Kafka, and no right to write is needed."""

    source: Annotated[str, pydantic.Field(pattern=r"^[^\s]{1,200}$")] = "/mrs-relay/http"
    """CloudEvents `source` of requests that name none. With the id it names a request, so it should never change."""

    remember_s: Annotated[float, pydantic.Field(ge=0)] = 7 * 24 * 3600.0
    """
    Seconds for which a request that has ended keeps its Idempotency-Key from another payload: as many as
    `engine.remember_s` of the relays. Fewer leave the refusal to the relay; more refuse what it would take.
    """

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
    def _safe(self) -> Self:
        if not self.access.is_set and not addresses.is_loopback(self.host):
            raise ValueError(
                f"host: expected a loopback address such as 127.0.0.1, got {self.host!r}: every program on the network "
                "could read and send everything; to serve others set api.access.tokens_file, api.access.oidc.issuer or "
                "api.access.certificates"
            )
        if self.access.certificates and self.tls.client_authorities is None:
            raise ValueError("access.certificates: client certificates need api.tls.client_authorities")
        return self
