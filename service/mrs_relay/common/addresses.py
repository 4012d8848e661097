"""Tell addresses of this machine, and addresses that are safe to send secrets to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


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
