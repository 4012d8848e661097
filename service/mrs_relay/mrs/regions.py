"""The addresses of MRS and IAM in each region, as data."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

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

IAM_ANYWHERE: Final = "https://iam.myhuaweicloud.com"
"""IAM for regions that have no address of their own in the list."""

_WITHOUT_IAM: Final = frozenset(
    {
        *("ru-northwest-2", "eu-west-101", "cn-south-4", "cn-north-11"),
        *("cn-southwest-3", "ap-southeast-5", "af-north-1"),
    }
)


def mrs(region: str) -> str:
    """Return the address of MRS in a region of the list."""
    return f"https://mrs.{region}.{REGIONS[region]}"


def iam(region: str) -> str:
    """
    Return the address of IAM for a region.

    Source: region list of the SDK core 3.1.219, which knows IAM in fewer regions than MRS.
    """
    known = region in REGIONS and region not in _WITHOUT_IAM
    return f"https://iam.{region}.{_COM}" if known else IAM_ANYWHERE


def bare(address: str) -> str:
    """
    Return an address of scheme, host and port alone, in lower case and without a slash at the end.

    Raises:
        ValueError: it is no such address.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// address")
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must hold scheme, host and port alone: no path, query or user")
    _ = parts.port  # raises ValueError for an invalid port
    return f"{parts.scheme}://{parts.netloc.lower()}"


def host(address: str) -> str:
    """Return the Host header for an address: `hostname` or `hostname:port`, without a default port."""
    parts = urlsplit(address)
    return parts.netloc.removesuffix({"http": ":80", "https": ":443"}[parts.scheme])
