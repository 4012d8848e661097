"""Roles of the relay that a unit or a manifest starts: with exactly what it says, and watched until they answer."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support import child, waiting


def start(arguments: Sequence[str], variables: Mapping[str, str], log: Path) -> child.Child:
    """Start a role with these variables, and with nothing else of this machine's settings."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MRS_RELAY_")}
    return child.Child([sys.executable, "-m", "mrs_relay", *arguments], log=log, env={**plain, **variables})


def answers(port: int, path: str) -> bool:
    """Return whether a role answers there with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


async def until(condition: Callable[[], bool], process: child.Child) -> None:
    """Wait for a condition of a role, which must not end before; a failure shows its log."""
    ends_s = time.monotonic() + waiting.LIMIT_S
    while not await asyncio.to_thread(condition):
        assert process.alive, process.log.read_text()
        assert time.monotonic() < ends_s, process.log.read_text()
        await asyncio.sleep(0.2)
