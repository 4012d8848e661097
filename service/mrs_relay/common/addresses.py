"""Tell addresses of this machine, and addresses that are safe to send secrets to."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

import pydantic


def keeps_secrets(url: str) -> bool:
    """Return whether data sent to an http(s) address is encrypted, or does not leave this machine."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    if parts.scheme == "https":
        return bool(name)
    if parts.scheme != "http":
        return False
    return name.endswith(".localhost") or is_loopback(name)


def is_loopback(host: str) -> bool:
    """Return whether a host is `localhost` or a loopback address, so that only this machine reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_login(address: str) -> str:
    """
    Return an address of the settings, which logs and errors show.

    Raises:
        ValueError: it holds a user or a password; the error does not show it.
    """
    if "@" in urlsplit(address).netloc:
        raise ValueError("must hold no user and password: addresses are shown in logs")
    return address


Plain = Annotated[str, pydantic.AfterValidator(without_login)]
"""An address without user and password."""
