"""The largest memory that this process has held, on Linux and macOS."""

from __future__ import annotations

import resource
import sys


def peak_bytes() -> int:
    """Return the largest memory that this process has held; Linux counts it in KiB, macOS in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
