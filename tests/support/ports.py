"""Free TCP ports on the loopback address."""

from __future__ import annotations

import random
import socket
from pathlib import Path

# Below the range that Linux hands to outgoing connections: while a broker is down, its clients' own attempts to
# reconnect could otherwise take its port, or even connect to themselves.
_CANDIDATES = range(20_000, 32_000)
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")

_given: set[int] = set()


def free_port() -> int:
    """
    Return a port without a listener that this process has not been given before.

    Another process may still bind it before you do; the random choice from thousands makes that unlikely.

    Raises:
        OSError: no port is free.
    """
    candidates = [port for port in _outside_ephemeral() if port not in _given]
    random.SystemRandom().shuffle(candidates)  # whatever seed a test sets, two processes draw different ports
    for port in candidates:
        if _is_free(port):
            _given.add(port)
            return port
    raise OSError("no free port on the loopback address")


def _outside_ephemeral() -> range:
    if not _EPHEMERAL_RANGE.exists():
        return _CANDIDATES
    first, last = (int(bound) for bound in _EPHEMERAL_RANGE.read_text().split())
    outside = range(_CANDIDATES.start, min(_CANDIDATES.stop, first)) if last >= _CANDIDATES.start else _CANDIDATES
    return outside or _CANDIDATES


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
