"""The settings of the connection to OBS: where it is, who we are, how long we wait and how much is read."""

from __future__ import annotations

import pathlib
from typing import Annotated, Self
from urllib.parse import urlsplit

import pydantic

from mrs_relay.common import addresses, described

_DOMAIN = "myhuaweicloud.com"


class ObsSettings(described.Described):
    """OBS: rows and logs are read from it (`results.path`, `causes.path`), and senders upload files to it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    endpoint: str | None = None
    """
    Address of OBS, such as https://obs.cn-north-4.myhuaweicloud.com: scheme, host and port alone.

    Default none: that of `region`, or of the region of the tenant's connection to MRS.
    """

    region: str | None = None
    """
    Region id, such as cn-north-4; it stands in every signature.

    Default none: the region of the tenant's connection to MRS, or cn-north-4 where that has none.
    """

    access_key: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """
    Access key id (AK) for OBS.

    Default none: the key pair of the tenant's connection to MRS, lasting or temporary. A connection that sends tokens
    has none: set its `temporary_keys`, or give a pair here.
    """

    secret_key: pydantic.SecretStr | None = None
    """Secret access key (SK) that belongs to `access_key`."""

    security_token: pydantic.SecretStr | None = None
    """Security token, if the pair is a temporary one. Default none."""

    path_style: bool = False
    """
    Whether the bucket stands in the path of an address, rather than in its host.

    Default false, as OBS wants it. True for an emulator, whose address is no domain.
    """

    ca_file: pathlib.Path | None = None
    """
    PEM file with authorities that sign OBS's certificate, beside those of the system.

    Default none. It is read once, at the start.
    """

    proxy: str | None = None
    """Address of an HTTP proxy for OBS. Default none: the variables HTTPS_PROXY and so on count, unlike for MRS."""

    connect_timeout_s: Annotated[float, pydantic.Field(gt=0)] = 5.0
    """Longest wait for a connection to OBS, in seconds. Too small: reads fail on a slow network."""

    read_timeout_s: Annotated[float, pydantic.Field(gt=0)] = 30.0
    """
    Longest time for the read of one object, in seconds, from the wait for its turn to the last byte.

    Default 30: `max_object_bytes` at 2 MB a second. A read that fails is tried again within `engine.collect_within_s`.
    """

    max_reads: Annotated[int, pydantic.Field(ge=1)] = 4
    """Objects that this process reads at the same time for one connection; further ones wait for their turn."""

    max_object_bytes: Annotated[int, pydantic.Field(ge=1024)] = 64 * 1024 * 1024
    """
    Largest object that is read, in bytes; of a larger one an event has the location alone.

    Default 64 MiB. An object is read to its end to count its rows, a piece at a time: memory holds only the rows that
    an event takes. Too big: reading takes longer than `engine.collect_within_s`.
    """

    max_streams: Annotated[int, pydantic.Field(ge=1)] = 2
    """
    Objects that this process writes to the results topic at the same time for one connection; each takes about 20 MiB
    of memory meanwhile.
    """

    max_stream_bytes: Annotated[int, pydantic.Field(ge=1024)] = 4 * 1024 * 1024 * 1024
    """
    Largest object that is written to the results topic, in bytes; of a larger one an event has the location alone.
    Default 4 GiB. Too big: one result fills the topic.
    """

    max_objects: Annotated[int, pydantic.Field(ge=1)] = 2_000
    """
    Most objects of a folder that Hive or Spark has written rows to; of one with more an event has the location alone.

    Default 2000: an engine writes an object for each of its last tasks. All objects of a folder together may have
    `max_object_bytes` bytes.
    """

    csv_header: bool = True
    """Whether the first line of the rows that Presto writes holds the names of the columns."""

    @pydantic.field_validator("endpoint", "proxy")
    @classmethod
    def _bare(cls, address: str | None) -> str | None:
        if address is None:
            return None
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("must be an http:// or https:// address of scheme, host and port alone")
        return addresses.without_login(f"{parts.scheme}://{parts.netloc}")

    @pydantic.model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key belong together")
        if self.security_token is not None and self.access_key is None:
            raise ValueError("security_token needs access_key and secret_key")
        return self

    def at(self, region: str | None) -> ObsSettings:
        """Return the settings with the region, and the endpoint, that follow from those of a connection to MRS."""
        known = self.region or region
        endpoint = self.endpoint or (f"https://obs.{known}.{_DOMAIN}" if known else None)
        return self.model_copy(update={"endpoint": endpoint, "region": known or "cn-north-4"})
