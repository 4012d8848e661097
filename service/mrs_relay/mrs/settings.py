"""The settings of one connection to MRS: where it is, who we are, how long we wait and how much we spend."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

import pydantic

_COM, _CN, _EU = "myhuaweicloud.com", "myhuaweicloud.cn", "myhuaweicloud.eu"

REGIONS: Final = {
    **dict.fromkeys(
        (
            *("cn-north-1", "cn-north-2", "cn-north-4", "cn-north-9", "cn-north-11", "cn-north-12"),
            *("cn-south-1", "cn-south-4", "cn-southwest-2", "cn-southwest-3"),
            *("cn-east-2", "cn-east-3", "cn-east-4", "cn-east-5"),
            *("ap-southeast-2", "ap-southeast-3", "ap-southeast-5"),
            *("af-south-1", "af-north-1", "me-east-1", "ae-ad-1", "tr-west-1"),
            *("sa-brazil-1", "la-south-2", "la-north-2", "na-mexico-1"),
            *("eu-west-0", "my-kualalumpur-1", "ru-moscow-1"),
        ),
        _COM,
    ),
    **dict.fromkeys(("ap-southeast-1", "ap-southeast-4", "ru-northwest-2"), _CN),
    "eu-west-101": _EU,
}
"""
Region id to the domain of its endpoint, `https://mrs.<region>.<domain>`.

Source: endpoint list of the SDK 3.1.219. The suffixes other than .com were not cross-checked there: where one fails,
set `endpoint`.
"""


_WORD: Final = re.compile(r"[!-~]+")  # what can stand in a header unchanged


class MrsSettings(pydantic.BaseModel):
    """One connection. Errors name the field and never show a value."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    endpoint: str | None = None
    """
    Address of MRS, such as https://mrs.cn-north-4.myhuaweicloud.com: scheme, host and port alone.

    Default none: give `region` instead. Give this one for an emulator, a partner cloud, or a region whose endpoint in
    the built-in list is wrong.
    """

    region: str | None = None
    """
    Region id, such as cn-north-4; stands for its endpoint in the built-in list.

    Default none. Ignored when `endpoint` is given.
    """

    project_id: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9]{1,64}$")]
    """Id of the project that owns the clusters: 1 to 64 letters and digits, usually 32. MRS refuses a wrong one."""

    access_key: Annotated[str, pydantic.Field(repr=False, pattern=r"^[!-~]{1,128}$")]
    """Access key id (AK) of the caller. MRS locks a pair that fails more than five times in a row."""

    secret_key: pydantic.SecretStr
    """Secret access key (SK) of the caller. Signs each request and never leaves this process."""

    security_token: pydantic.SecretStr | None = None
    """Token that comes with a temporary key pair; MRS refuses one without it. Default none, for a lasting pair."""

    language: Literal["en-us", "zh-cn"] = "en-us"
    """
    Language of MRS's error texts (X-Language).

    Default en-us. With zh-cn, cluster states arrive in Chinese and are not understood.
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

    @pydantic.field_validator("endpoint")
    @classmethod
    def _bare_address(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http:// or https:// address")
        if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("must hold scheme, host and port alone: no path, query or user")
        _ = parts.port  # raises ValueError on a port that is none
        return f"{parts.scheme}://{parts.netloc.lower()}"

    @pydantic.field_validator("secret_key", "security_token")
    @classmethod
    def _header_safe(cls, secret: pydantic.SecretStr | None) -> pydantic.SecretStr | None:
        if secret is not None and not _WORD.fullmatch(secret.get_secret_value()):
            raise ValueError("must be printable ASCII without spaces or line breaks, and not empty")
        return secret

    @pydantic.model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.endpoint is None and self.region is None:
            raise ValueError("one of endpoint and region is needed")
        if self.endpoint is None and self.region not in REGIONS:
            raise ValueError(f"region {self.region!r} is not in the built-in list: set endpoint")
        return self

    @property
    def base_url(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        return self.endpoint or f"https://mrs.{self.region}.{REGIONS[self.region or '']}"

    @property
    def host(self) -> str:
        """The Host header: `hostname` or `hostname:port`, a default port left out."""
        parts = urlsplit(self.base_url)
        default = {"http": ":80", "https": ":443"}[parts.scheme]
        return parts.netloc.removesuffix(default)
