"""The settings of one connection to MRS: where it is, who we are, how long we wait and how much we spend."""

from __future__ import annotations

import pathlib
from typing import Annotated, Literal, Self

import pydantic

from mrs_relay.common import addresses, described
from mrs_relay.mrs import login, regions


class Address(described.Described):
    """Where MRS and IAM are."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    endpoint: str | None = None
    """
    Address of MRS, such as https://mrs.cn-north-4.myhuaweicloud.com: scheme, host and port alone.

    Default none: give `region` instead. Give this one for an emulator, a partner cloud, or a region whose endpoint in
    the built-in list is wrong.
    """

    region: str | None = None
    """
    Region id, such as cn-north-4; stands for its endpoints in the built-in list, and names the default project.

    Default none. `endpoint` and `iam_endpoint` win over the list.
    """

    iam_endpoint: str | None = None
    """
    Address of IAM: scheme, host and port alone.

    Default none: the region's. Give this one for an emulator or a partner cloud. Not needed with a lasting key pair and
    `project_id`.
    """

    iam_over_http: bool = False
    """
    Whether `iam_endpoint` may be an http:// address of another machine.

    Default false: passwords and tokens would cross the network in clear. On the loopback address http is always
    allowed, for an emulator. True: for a network that encrypts by itself, such as a service mesh.
    """

    project_name: Annotated[str, pydantic.Field(min_length=1, max_length=64)] | None = None
    """
    Name of the project, to find its id.

    Default none: the region's name, which is that of its default project. Ignored when `project_id` is given.
    """

    @pydantic.field_validator("endpoint", "iam_endpoint")
    @classmethod
    def _bare_address(cls, address: str | None) -> str | None:
        return None if address is None else regions.bare(address)

    @pydantic.model_validator(mode="after")
    def _iam_is_encrypted(self) -> Self:
        address = self.iam_endpoint
        if address is not None and not self.iam_over_http and not addresses.keeps_secrets(address):
            raise ValueError(
                "iam_endpoint: passwords would cross the network in clear: expected https://, or http:// on the "
                "loopback address; iam_over_http=true allows it"
            )
        return self


class MrsSettings(login.Login, Address):
    """One connection. Errors name the field and never show a value."""

    credentials_file: pathlib.Path | None = None
    """
    File with settings of who we are (project_id, access_key, secret_key and so on), as a JSON object or in TOML.

    What it says wins over the settings of the same names. It is read again when it changes, so keys can be rotated
    without a restart. Default none.
    """

    credentials_check_s: Annotated[float, pydantic.Field(gt=0)] = 5.0
    """
    How often `credentials_file` is looked at for changes, in seconds.

    Default 5. It is also looked at when MRS refuses the credentials. Too big: calls are refused for a while after the
    old keys have died.
    """

    temporary_keys_s: Annotated[int, pydantic.Field(ge=900, le=86_400)] = 3600
    """
    Lifetime of temporary key pairs, in seconds, 900 to 86,400.

    Default 3600. They are renewed when a quarter is left, but at most 40 minutes before their end.
    """

    language: Literal["en-us", "zh-cn"] = "en-us"
    """
    Language of MRS's error texts (X-Language).

    Default en-us. With zh-cn, cluster states arrive in Chinese and are not understood.
    """

    ca_file: pathlib.Path | None = None
    """
    PEM file with the authorities that sign the certificates of MRS and IAM, or of a proxy that decrypts.

    Default none: those of the system. It is read again for new connections when it changes.
    """

    proxy: str | None = None
    """
    Address of an HTTP proxy for MRS and IAM: http:// or https://, host and port alone.

    Default none: straight. https:// speaks TLS with the proxy as well. The variables HTTPS_PROXY and so on are not
    read. Calls through the proxy are tunnelled, so it sees no keys.
    """

    proxy_user: str | None = None
    """
    Who we are for the proxy.

    Default none: it does not ask.
    """

    proxy_password: pydantic.SecretStr | None = None
    """
    The password for the proxy.

    Default none.
    """

    connect_timeout_s: Annotated[float, pydantic.Field(gt=0)] = 5.0
    """
    Longest wait for one of MRS's addresses to take a connection, TLS included, in seconds.

    Default 5: ten times a slow handshake. Too small: calls fail on a slow network. Too big: an unreachable MRS is
    noticed late.
    """

    call_timeout_s: Annotated[float, pydantic.Field(gt=0)] = 30.0
    """
    Longest time for one call, in seconds, from the wait for its turn to the last byte of the reply.

    Default 30: far above what a job operation takes; a Presto statement that changes data may need more. Too small:
    writes end in doubt and must be looked up. Too big: a lost reply is noticed late.
    """

    keepalive_s: Annotated[float, pydantic.Field(ge=0)] = 1.0
    """
    Longest idle time after which a connection is used again, in seconds; 0 never uses one again.

    Default 1: gateways keep idle connections for many seconds, so a write hardly ever meets one that is just being
    closed, which would leave its outcome in doubt. Too big: doubtful writes. 0: a handshake for each call.
    """

    max_connections: Annotated[int, pydantic.Field(ge=1)] = 100
    """
    Connections open at the same time; further calls wait for their turn within their timeout.

    Default 100. Too small: calls queue. Too big: MRS's gateway may turn connections away.
    """

    max_reply_bytes: Annotated[int, pydantic.Field(ge=1024)] = 16 * 1024 * 1024
    """
    Largest reply that is read, in bytes.

    Default 16 MiB: a page of 100 jobs with long arguments has its place. Too small: statement results cannot be read.
    Too big: one reply can fill the memory.
    """

    budgets: bool = True
    """
    Whether the documented calls per minute are spent evenly on our side.

    Default true. False, for an emulator without limits or a benchmark, sends every call at once and leaves it to MRS to
    refuse with 429.
    """

    throttled_wait_s: Annotated[float, pydantic.Field(gt=0)] = 30.0
    """
    Pause of the whole connection after a 429 that names none (Retry-After), in seconds.

    Default 30: the limits count by the minute, so half a minute is what remains on average. Too small: the next call is
    refused as well. Too big: budget is wasted.
    """

    @pydantic.field_validator("proxy")
    @classmethod
    def _bare_proxy(cls, address: str | None) -> str | None:
        return None if address is None else regions.bare(address)

    @pydantic.model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.endpoint is None and self.region is None:
            raise ValueError("one of endpoint and region is needed")
        if self.endpoint is None and self.region not in regions.REGIONS:
            raise ValueError(f"region {self.region!r} is not in the built-in list: set endpoint")
        return self

    @pydantic.model_validator(mode="after")
    def _has_credentials(self) -> Self:
        if self.credentials_file is None and (problem := login.problem(self) or self.iam_problem(self)) is not None:
            raise ValueError(problem)
        return self

    def iam_problem(self, who: login.Login) -> str | None:
        """Return what IAM's address or project lacks for this login; None when it is complete or IAM is not needed."""
        if not who.needs_iam:
            return None
        if self.iam_endpoint is None and self.region is None:
            return "one of iam_endpoint and region is needed to ask IAM (or give project_id and a lasting key pair)"
        if who.project_id is None and self.project_name is None and self.region is None:
            return "project_id is missing; project_name or region would let IAM find it"
        return None

    @property
    def base_url(self) -> str:
        """Scheme, host and port of MRS, without a slash at the end."""
        return self.endpoint or regions.mrs(self.region or "")

    @property
    def iam_url(self) -> str:
        """Scheme, host and port of IAM, without a slash at the end; "" when neither it nor the region is known."""
        return self.iam_endpoint or (regions.iam(self.region) if self.region else "")

    @property
    def host(self) -> str:
        """The Host header: `hostname` or `hostname:port`, without a default port."""
        return regions.host(self.base_url)
