"""Whether an address is safe to send secrets to."""

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
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
